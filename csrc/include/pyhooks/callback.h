#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "pyhooks/context.h"
#include "pyhooks/event.h"
#include "pyhooks/state.h"

namespace pyhooks {

/// Order among the listeners of one event; within a phase by priority (higher first), then those that read what others log
/// after the others, then in order of registration.
enum class Phase : std::uint8_t {
  vote,     ///< may ask for a stop (early stopping)
  mutate,   ///< changes what is trained (clipping, learning rates, EMA)
  save,     ///< writes checkpoints, with everything above already in them
  observe,  ///< looks (loggers, meters, Python functions)
};

/// What listens to training. Derive, override the events you want, leave the rest; what is not overridden is never
/// called and costs nothing.
///
/// What still happens when training ends:
///
/// | ends by                    | this batch's events | rest of the epoch's batches | on_train_epoch_end, validation, on_fit_epoch_end | then, in order                                   | fit()
/// |----------------------------|---------------------|-----------------------------|--------------------------------------------------|--------------------------------------------------|------------------------------
/// | the last epoch             | all                 | all                         | yes                                              | on_train_end, teardown                           | returns
/// | a stop vote, batch event   | all                 | no                          | yes, of the shortened epoch                      | on_early_stop, on_train_end, teardown            | returns, with the stop reason
/// | a stop vote, other event   | -                   | -                           | yes                                              | on_early_stop, on_train_end, teardown            | returns, with the stop reason
/// | Ctrl-C                     | all                 | no                          | no                                               | on_interrupt, on_exception, teardown             | raises KeyboardInterrupt
/// | an exception               | no                  | no                          | no                                               | on_exception, teardown                           | raises the original exception
///
/// Ctrl-C that reaches Python code inside a batch (the python engine, a loader) is raised there, as an exception is.
/// A vote never silences anybody. An exception thrown in on_interrupt, on_exception or teardown does not keep the
/// others from being called, and never replaces the original one.
///
/// Example: stop when the loss is small.
///
///     class Target final : public pyhooks::Callback {
///      public:
///       void on_train_batch_end(pyhooks::BatchContext& ctx) override {
///         if (ctx.loss() < 0.01) ctx.request_stop("loss below 0.01");
///       }
///     };
class Callback {
 public:
  Callback() = default;
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  virtual ~Callback() = default;

  /// Where this callback stands among the listeners of an event.
  virtual Phase phase() const { return Phase::observe; }
  /// Names of the metrics this callback logs, so that others may monitor them.
  virtual std::vector<std::string> logs() const { return {}; }
  /// Names of logged values this callback reads. Among those of its phase and priority it is called last.
  virtual std::vector<std::string> reads() const { return {}; }
  /// Of the events the class overrides, those this object listens to.
  virtual EventMask wants(EventMask overridden) const { return overridden; }
  /// Whether it must see every occurrence of its events: `every`, `once`, `seconds` and the like then do not keep it from
  /// being called; it asks `ctx.may_act()` before it acts.
  virtual bool filters_itself() const { return false; }
  /// Names what a checkpoint must keep of this callback; see state.h. Read back after `on_train_start`, so that what is
  /// reset there is overwritten by what the checkpoint says.
  virtual void state(State&) {}

  // --- run events -------------------------------------------------------------------------------------------------
  /// Before data, engine and plans are set up.
  virtual void on_pretrain_routine_start(Context&) {}
  /// Everything is set up; nothing has been trained yet.
  virtual void on_pretrain_routine_end(Context&) {}
  /// Before the first epoch. Reset here what a second run must not inherit.
  virtual void on_train_start(Context&) {}
  /// A stop was voted for; before on_train_end.
  virtual void on_early_stop(Context&) {}
  /// Ctrl-C; before on_exception.
  virtual void on_interrupt(Context&) {}
  /// Training goes on from a checkpoint; after on_pretrain_routine_end.
  virtual void on_resume(Context&) {}
  /// Normal end or stop.
  virtual void on_train_end(Context&) {}
  /// Something was thrown; before it is thrown on.
  virtual void on_exception(Context&) {}
  /// Always, last.
  virtual void teardown(Context&) {}

  // --- epoch events -----------------------------------------------------------------------------------------------
  virtual void on_train_epoch_start(Context&) {}
  /// The epoch's batches are done, validation is not.
  virtual void on_train_epoch_end(Context&) {}
  virtual void on_val_start(Context&) {}
  virtual void on_val_end(Context&) {}
  /// A checkpoint has been handed to the writer.
  virtual void on_model_save(Context&) {}
  /// The checkpoint is on disk, synced and renamed.
  virtual void on_checkpoint_durable(Context&) {}
  /// Training, validation and saving of this epoch are done; exactly once an epoch.
  virtual void on_fit_epoch_end(Context&) {}

  // --- batch events: native code only -----------------------------------------------------------------------------
  /// The batch is in hand, forward has not run.
  virtual void on_train_batch_start(BatchContext&) {}
  /// Gradients are there, before clipping; on every batch, also on accumulation sub-steps.
  virtual void on_backward_end(BatchContext&) {}
  /// Gradients are final, the optimizer has not stepped. Not on accumulation sub-steps, nor after `skip_step()`.
  virtual void optimizer_step(BatchContext&) {}
  /// The optimizer has stepped. Not on accumulation sub-steps, nor after `skip_step()`.
  virtual void on_params_update(BatchContext&) {}
  /// Last sight of the gradients. Not on accumulation sub-steps.
  virtual void on_before_zero_grad(BatchContext&) {}
  /// The batch is done; on every batch.
  virtual void on_train_batch_end(BatchContext&) {}
  virtual void on_val_batch_start(BatchContext&) {}
  virtual void on_val_batch_end(BatchContext&) {}
};

/// The context type that listeners of a kind of event are handed.
template <EventKind kind>
using ContextOf = std::conditional_t<kind == EventKind::batch, BatchContext, Context>;

// callback.h and events.def agree: the compiler names the event that has no method of the right signature here.
#define PYHOOKS_EVENT(name, kind)                                                                           \
  static_assert(std::is_same_v<decltype(&Callback::name), void (Callback::*)(ContextOf<EventKind::kind>&)>, \
                "Callback::" #name " is missing or has the wrong signature");
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT

/// The events T overrides, found at compile time. A method that has an event's name but not its signature does not
/// compile: the error says how the method is written.
template <class T>
constexpr EventMask overridden_events() {
  static_assert(std::is_convertible_v<T*, Callback*>, "a callback derives publicly from pyhooks::Callback");
  EventMask mask = 0;
#define PYHOOKS_CONTEXT_run "pyhooks::Context"
#define PYHOOKS_CONTEXT_epoch "pyhooks::Context"
#define PYHOOKS_CONTEXT_batch "pyhooks::BatchContext"
#define PYHOOKS_EVENT(name, kind)                                                                                  \
  constexpr bool name##_fits = requires { static_cast<void (T::*)(ContextOf<EventKind::kind>&)>(&T::name); };      \
  static_assert(name##_fits, #name " has the wrong signature or is not public; it is: void " #name                 \
                                   "(" PYHOOKS_CONTEXT_##kind "& ctx) override");                                  \
  if (!requires { requires std::is_same_v<decltype(&T::name), void (Callback::*)(ContextOf<EventKind::kind>&)>; }) \
    mask |= bit(Event::name);
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT
#undef PYHOOKS_CONTEXT_batch
#undef PYHOOKS_CONTEXT_epoch
#undef PYHOOKS_CONTEXT_run
  return mask;
}

/// Adds a callback while training runs, from the next event on; returns its number. It is gone when the run ends.
///
///     pyhooks::add_callback(ctx, std::make_shared<Probe>(), "Probe");
template <class T>
std::uint64_t add_callback(Context& context, std::shared_ptr<T> callback, std::string_view label,
                           std::int64_t priority = 0) {
  return context.add(std::move(callback), overridden_events<T>(), label, priority);
}

}  // namespace pyhooks
