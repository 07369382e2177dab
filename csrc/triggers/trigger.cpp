#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pyhooks/plugin.h"
#include "triggers/actions.h"
#include "triggers/error.h"
#include "triggers/firings.h"
#include "triggers/machine.h"
#include "triggers/names.h"
#include "triggers/parser.h"

namespace pyhooks {

namespace triggers {

namespace {

constexpr EventMask kLate = bit(Event::on_train_batch_end);

/// An input of the expression: a built-in name, or one that somebody logs.
struct Name {
  std::string text;
  std::size_t position;
  std::optional<BuiltIn> built_in;
  double early = 0;  // what it was at on_backward_end, if the expression is evaluated later
};

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

}  // namespace

/// Evaluates an expression for every batch and acts where it holds.
///
/// With built-in names alone it is evaluated at on_backward_end, when loss and gradients are known and the step is still
/// to come. With logged values it is evaluated at on_train_batch_end, when all that the batch has to log is there; the
/// built-in names mean what they meant at on_backward_end even so.
class Trigger final : public Callback, public Firings {
 public:
  explicit Trigger(const Options& options)
      : machine_(compile(options.get<std::string>("when"))), actions_(parse_actions(options.get<std::string>("do"))) {
    for (const Input& input : machine_.program().inputs)
      names_.push_back({input.name, input.position, find_built_in(input.name)});
    late_ = options.has("at") ? is_late(options.get<std::string>("at")) : reads_logs();
    for (const Action& action : actions_) check(action, options.get<std::string>("do"));
  }

  std::vector<std::string> logs() const override { return columns_; }
  // Those it is called after. A norm of the gradients that is logged by then is not computed again.
  std::vector<std::string> reads() const override {
    std::vector<std::string> read;
    for (const Name& name : names_)
      if (!name.built_in || *name.built_in == BuiltIn::grad_norm) read.push_back(name.text);
    return read;
  }
  EventMask wants(EventMask overridden) const override { return late_ ? overridden : overridden & ~kLate; }
  bool filters_itself() const override { return true; }
  void state(State& state) override { machine_.state(state); }

  void on_train_start(Context& ctx) override {
    machine_.reset();
    firings_.clear();
    saved_in_ = -1;
    check_names(ctx);
  }

  void on_backward_end(BatchContext& ctx) override {
    step_ = ctx.global_step();
    if (!checked_) [[unlikely]]
      check_names(ctx);  // it was added while training ran
    if (!late_) return evaluate(ctx);
    for (Name& name : names_)
      if (name.built_in) name.early = read(*name.built_in, ctx);
  }

  void on_train_batch_end(BatchContext& ctx) override {
    if (late_) evaluate(ctx);
  }

  // Firings
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const Shown& shown : machine_.program().shown) names.push_back(shown.text);
    return names;
  }
  std::vector<Firing> take() override { return std::exchange(firings_, {}); }

 private:
  static bool is_late(const std::string& event) {
    if (event != "on_backward_end" && event != "on_train_batch_end")
      throw std::invalid_argument("at is '" + event + "'; an expression is evaluated at on_backward_end, where the " +
                                  "step is still to come, or at on_train_batch_end");
    return event == "on_train_batch_end";
  }

  const Name* first_logged() const {
    for (const Name& name : names_)
      if (!name.built_in) return &name;
    return nullptr;
  }
  bool reads_logs() const { return first_logged() != nullptr; }

  void check(const Action& action, const std::string& actions) {
    if (action.kind == ActionKind::log) columns_.push_back(action.column.empty() ? text() : action.column);
    if (action.kind == ActionKind::call) keeps_firings_ = true;
    if (action.kind != ActionKind::skip_step || !late_) return;
    const std::string reason = "skip_step is too late at on_train_batch_end: the step has been made by then";
    const Name* logged = first_logged();
    if (!logged) throw TriggerError(reason, actions, actions.find("skip_step"));
    throw TriggerError(reason + ". An expression with a logged value, '" + logged->text +
                           "' here, is evaluated there; if it is logged at on_backward_end or before, say " +
                           "at=\"on_backward_end\"",
                       text(), logged->position);
  }

  void check_names(const Context& ctx) {
    const std::vector<std::string> logged = ctx.log_names();
    std::vector<std::string> names = built_in_names();
    names.insert(names.end(), logged.begin(), logged.end());
    for (const Name& name : names_)
      if (!name.built_in && std::find(logged.begin(), logged.end(), name.text) == logged.end())
        throw TriggerError("nobody logs '" + name.text + "'" + known(name.text, "the names here", names), text(),
                           name.position);
    checked_ = true;
  }

  friend class Machine;  // which fetches
  double fetch(std::size_t input) {
    const Name& name = names_[input];
    double value = std::numeric_limits<double>::quiet_NaN();
    if (!name.built_in)
      static_cast<void>(context_->logged(name.text, value));
    else
      value = late_ ? name.early : read(*name.built_in, *context_);
    return value;
  }

  void evaluate(BatchContext& ctx) {
    context_ = &ctx;
    const bool fires = machine_.holds(*this) && ctx.may_act();
    std::vector<double> values;
    if (fires) [[unlikely]]
      values = machine_.values(*this);
    machine_.advance(*this);
    for (const std::string& column : columns_) ctx.log(column, fires);
    if (fires) [[unlikely]]
      act(ctx, values);
  }

  void act(BatchContext& ctx, const std::vector<double>& values) {
    const std::string reason = described(values);
    if (keeps_firings_) firings_.push_back({ctx.epoch(), ctx.batch(), step_, values});
    for (const Action& action : actions_) act(ctx, action, reason);
  }

  void act(BatchContext& ctx, const Action& action, const std::string& reason) {
    switch (action.kind) {
      case ActionKind::stop:
        return ctx.request_stop(reason);
      case ActionKind::skip_step:
        return ctx.skip_step();
      case ActionKind::save:  // asked for once an epoch: that is how often it is done
        if (std::exchange(saved_in_, ctx.epoch()) != ctx.epoch()) ctx.request_save(reason);
        return;
      case ActionKind::snapshot:
        return ctx.snapshot(reason);
      case ActionKind::scale_lr:
        ctx.scale_lr(action.factor);
        if (!late_) ctx.log("lr", ctx.lr());  // the history's, of this batch's step
        return;
      case ActionKind::log:   // done, where it fires and where it does not
      case ActionKind::call:  // done: of several calls, each gets all firings
        return;
    }
  }

  // "loss=12.3, ema(loss, 100)=1.1"
  std::string described(const std::vector<double>& values) const {
    std::vector<std::string> parts;
    for (const Shown& shown : machine_.program().shown)
      parts.push_back(shown.text + "=" + number(values[parts.size()]));
    return parts.empty() ? text() : joined(parts);
  }

  const std::string& text() const { return machine_.program().text; }

  Machine machine_;
  std::vector<Action> actions_;
  std::vector<Name> names_;
  std::vector<std::string> columns_;
  std::vector<Firing> firings_;
  BatchContext* context_ = nullptr;
  std::int64_t step_ = 0;
  std::int64_t saved_in_ = -1;
  bool late_ = false;
  bool keeps_firings_ = false;
  bool checked_ = false;
};

PYHOOKS_CALLBACK(
    Trigger, "trigger", "Evaluates an expression for every batch and acts where it holds.",
    {"when", "str", std::string(), "the expression, as \"loss > 3 * ema(loss, 100) and step > 500\""},
    {"do", "str", std::string(), "the actions: stop, skip_step, save, snapshot, scale_lr(0.5), log, log(name)"},
    {"at", "str", {}, "on_backward_end or on_train_batch_end; None: the earliest at which the names are known"});

}  // namespace triggers

}  // namespace pyhooks
