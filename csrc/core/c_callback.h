#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pyhooks/c_api.h"
#include "pyhooks/callback.h"

namespace pyhooks {

/// A C function and how it wants to be called.
struct CEntry {
  pyhooks_function function = nullptr;
  void* user = nullptr;
  Event event{};
  Phase phase = Phase::observe;
  std::vector<std::string> logs = {};
  at::Tensor state = {};                                   ///< float64 on the CPU, its initial values; undefined: none
  std::function<std::exception_ptr()> pending_error = {};  ///< what the callee's runtime keeps: `fail` of c_api.h
  std::shared_ptr<void> keep = {};                         ///< what `function` and `user` live in
};

/// Calls a C function at its event: fills in the fields of its pyhooks_batch, answers its functions.
class CCallback final : public Callback {
 public:
  /// Throws std::invalid_argument for a null function, and for a state that is not of float64.
  explicit CCallback(CEntry entry);

  Phase phase() const override { return entry_.phase; }
  std::vector<std::string> logs() const override { return entry_.logs; }
  void state(State& state) override;
  /// The event of the function; with a state the start of training too, where the state is reset.
  EventMask events() const;
  /// A copy of the state as it is now; undefined if there is none.
  at::Tensor copy_state() const;

#define PYHOOKS_EVENT(name, kind) \
  void name(ContextOf<EventKind::kind>& ctx) override { heard<Event::name>(ctx); }
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT

 private:
  struct Answers;  // the functions of pyhooks_batch

  template <Event event>
  void heard(ContextOf<info(event).kind>& ctx);
  void fill(const Progress& progress, bool in_batch);
  void call();
  void reset_state();

  CEntry entry_;
  at::Tensor state_;
  pyhooks_batch batch_{};
  Context* context_ = nullptr;                      // of the event that is being heard
  BatchContext* batch_context_ = nullptr;           // the same; null outside batches
  std::exception_ptr error_;                        // the first one during the call
  std::array<std::vector<pyhooks_view>, 2> views_;  // of parameters, of gradients
  std::string name_;                                // the last one that was asked for
};

// The progress is copied whole: seven loads and stores, less than a function call each time one is read.
inline void CCallback::fill(const Progress& progress, bool in_batch) {
  batch_.epoch = progress.epoch;
  batch_.epochs = progress.epochs;
  batch_.step = progress.global_step;
  batch_.batch = in_batch ? progress.batch : -1;
  batch_.batches = in_batch ? progress.batches : -1;
  batch_.samples = in_batch ? progress.samples : -1;
  batch_.samples_seen = progress.samples_seen;
}

inline void CCallback::call() {
  entry_.function(&batch_, entry_.user);
  if (error_) [[unlikely]]
    std::rethrow_exception(std::exchange(error_, nullptr));
}

template <Event event>
inline void CCallback::heard(ContextOf<info(event).kind>& ctx) {
  constexpr bool in_batch = info(event).kind == EventKind::batch;
  if constexpr (event == Event::on_train_start) reset_state();
  if (event != entry_.event) return;
  context_ = &ctx;
  if constexpr (in_batch) batch_context_ = &ctx;
  fill(ctx.progress(), in_batch);
  call();
}

}  // namespace pyhooks
