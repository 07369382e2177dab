#pragma once
// A callback that notes everything it is called for, so that tests compare whole sequences.

#include <functional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "pyhooks/callback.h"

using Notes = std::vector<std::string>;

/// Notes "event epoch", at batch events "event epoch.batch"; then does `also`, which may vote, log or throw.
class Trace final : public pyhooks::Callback {
 public:
  explicit Trace(std::string prefix = "", Notes* into = nullptr)
      : prefix_(std::move(prefix)), notes_(into ? into : &own_) {}

  std::function<void(const std::string& note, pyhooks::Context& ctx)> also;
  std::function<void(const std::string& note, pyhooks::BatchContext& ctx)> also_batch;
  pyhooks::Phase in_phase = pyhooks::Phase::observe;

  pyhooks::Phase phase() const override { return in_phase; }
  const Notes& notes() const { return *notes_; }

#define PYHOOKS_EVENT(name, kind) \
  void name(pyhooks::ContextOf<pyhooks::EventKind::kind>& ctx) override { note(#name, ctx); }
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT

 private:
  void note(const std::string& event, pyhooks::Context& ctx) {
    notes_->push_back(prefix_ + event + " " + std::to_string(ctx.epoch()));
    if (also) also(notes_->back(), ctx);
  }
  void note(const std::string& event, pyhooks::BatchContext& ctx) {
    notes_->push_back(prefix_ + event + " " + std::to_string(ctx.epoch()) + "." + std::to_string(ctx.batch()));
    const std::string noted = notes_->back();
    if (also_batch) also_batch(noted, ctx);
    if (also) also(noted, ctx);
  }

  std::string prefix_;
  Notes own_;
  Notes* notes_;
};

/// All of a Trace's events.
inline constexpr pyhooks::EventMask kEveryEvent = pyhooks::overridden_events<Trace>();

/// The notes must be these; the failure names the first that differs.
inline void check_notes(const Notes& got, const Notes& wanted,
                        std::source_location where = std::source_location::current()) {
  for (std::size_t i = 0; i < std::max(got.size(), wanted.size()); ++i) {
    const std::string came = i < got.size() ? got[i] : "nothing more";
    const std::string due = i < wanted.size() ? wanted[i] : "nothing more";
    if (came != due)
      check::fail(where.file_name(), static_cast<int>(where.line()),
                  "note " + std::to_string(i) + " is '" + came + "', wanted '" + due + "'");
  }
}
