#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pyhooks/tap.h"

namespace pyhooks {

/// What a tensor hook threw, of a type that says nothing more. Names hook and tensor, as all its exceptions do.
struct TapError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What a hook has cost since training began: the tensors it was handed, repetitions not counted, and the time it took.
struct TapCost {
  std::int64_t calls = 0;
  double total_ns = 0;
  double max_ns = 0;
};

/// Which tensors a tap is on, and how often.
struct TapConfig {
  TapKind kind = TapKind::output;
  std::int64_t every = 1;            ///< hands on each every-th training batch (param_grad: optimizer step), from 1
  std::string label{};               ///< the hook's name in messages
  std::vector<std::string> names{};  ///< the modules or parameters it is on
};

/// A tensor hook at work in one trainer: hands it the tensors of the batch that is being trained.
///
/// As a callback it knows that batch, forwards all events to the hook, and hands on parameters' gradients. Tensors inside
/// the model come through the operators pyhooks::see and pyhooks::replace (engines/tap_ops.cpp), which name a tensor by
/// its site's number. Outside of a training batch they do nothing.
class Tap final : public Callback {
 public:
  /// `events`: those that the hook's class overrides. Throws std::invalid_argument if the hook does not fit the kind, or
  /// `every` is below 1.
  Tap(std::shared_ptr<TensorHook> hook, EventMask events, TapConfig config);
  ~Tap() override;

  /// The events to register it for.
  EventMask events() const { return events_; }
  const TapConfig& config() const { return config_; }
  bool replaces() const { return hook_->replaces(); }
  std::vector<Histogram> histograms() const { return hook_->histograms(); }
  const TapCost& cost() const { return cost_; }

  /// The number, unique in the process, of the site of that name; made where there is none.
  std::int64_t site(const std::string& name);
  /// The names of the sites there are, by slot.
  std::vector<std::string> sites() const;

  Phase phase() const override { return replaces() ? Phase::mutate : Phase::observe; }
  std::vector<std::string> logs() const override;
  void state(State& state) override { hook_->state(state); }

#define PYHOOKS_EVENT(name, kind) void name(ContextOf<EventKind::kind>& context) override;
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT

  /// Hands a tensor to the hook, if its turn has come; `slot` is the site's.
  void see(std::size_t slot, const at::Tensor& tensor);
  /// The same; returns what goes on in the tensor's place: never the tensor itself or a view of it; strided as at::empty_like.
  at::Tensor replace(std::size_t slot, const at::Tensor& tensor, bool again);

 private:
  /// What the tap itself does at an event.
  template <Event event, class AnyContext>
  void before(AnyContext& context);
  void start_run();
  void start_batch(BatchContext& context);
  void parameters(BatchContext& context);
  void parameter(BatchContext& context, std::size_t slot, at::Tensor& grad);
  void find_parameters(const BatchContext& context);
  void pass_on_requests(BatchContext& context);
  std::size_t slot(const std::string& name);
  bool due() { return ++count_ % config_.every == 0; }

  template <class Work>
  void hand(BatchContext& batch, std::size_t slot, bool again, Work&& work);
  at::Tensor replaced(BatchContext& batch, std::size_t slot, const at::Tensor& tensor, bool again);
  void count_cost(double ns);
  [[noreturn]] void explain(const TapSite& site) const;

  std::shared_ptr<TensorHook> hook_;
  EventMask events_;
  TapConfig config_;
  std::deque<TapSite> sites_;                                    // by slot
  std::vector<std::int64_t> numbers_;                            // of the sites
  std::vector<std::pair<std::size_t, std::size_t>> parameters_;  // index among the trained ones, slot
  bool parameters_known_ = false;                                // for this epoch
  bool parameters_done_ = false;                                 // for this accumulation group
  BatchContext* batch_ = nullptr;                                // the batch being trained, if it is this tap's turn
  std::int64_t count_ = 0;                                       // batches, or optimizer steps, since training began
  TapCost cost_;
  bool skips_ = false;                     // the hook has asked for it, the loop has not been told
  std::vector<std::string> stop_reasons_;  // the same
};

/// `Tap::see` and `Tap::replace` by a site's number; nothing happens where the tap is gone.
void see_at(std::int64_t site, const at::Tensor& tensor);
at::Tensor replace_at(std::int64_t site, const at::Tensor& tensor, bool again);

}  // namespace pyhooks
