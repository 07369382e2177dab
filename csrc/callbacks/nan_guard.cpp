#include <ATen/core/Tensor.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "pyhooks/finite.h"
#include "pyhooks/memory_copy.h"
#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"
#include "pyhooks/wording.h"

namespace pyhooks {

/// Keeps batches whose loss or gradients are not finite away from the weights: looks after backward, and leaves the
/// optimizer step of a bad batch out, with the whole accumulation group's. Buffers go back to what they were before it.
///
/// What else happens is the action. `stop` asks for a stop; `skip` goes on with the next batch; `raise` throws; `rewind`
/// goes back to a copy of weights, buffers and optimizer that is made at the first good batch and at every
/// `snapshot_every` good ones after it, before their step: weights that are known to give finite numbers. At the bad batch
/// after `max_tries` others since the last copy, `rewind` goes back and asks for a stop.
///
/// Registered at on_train_batch_end alone it looks at the loss, and stops: for anything else it is too late there.
class NaNGuard final : public Callback {
 public:
  explicit NaNGuard(const Options& options)
      : action_{checked::choice(options, "NaNGuard", "action", {"stop", "skip", "raise", "rewind"})},
        watch_{checked::choice(options, "NaNGuard", "watch", {"loss", "grads", "both"})},
        every_(checked::at_least(1, options, "NaNGuard", "snapshot_every")),
        max_tries_(checked::at_least(1, options, "NaNGuard", "max_tries")),
        lr_factor_(checked::positive_or_none(options, "NaNGuard", "lr_factor")),
        skipped_name_(options.get<std::string>("name") + "/skipped"),
        rewinds_name_(options.get<std::string>("name") + "/rewinds") {
    if (lr_factor_ && action_ != Action::rewind)
      throw std::invalid_argument("NaNGuard: lr_factor is for action='rewind'");
  }

  Phase phase() const override { return Phase::vote; }

  std::vector<std::string> logs() const override {
    if (action_ == Action::skip) return {skipped_name_};
    if (action_ == Action::rewind) return {skipped_name_, rewinds_name_};
    return {};
  }

  void state(State& state) override {
    if (action_ == Action::stop || action_ == Action::raise) return;  // which end the run
    state.field("skipped", skipped_);
    state.field("rewinds", rewinds_);
    state.field("good", good_);
    state.field("tries", tries_);
    copy_.state(state);
  }

  void on_train_start(Context&) override {
    skipped_ = rewinds_ = good_ = tries_ = 0;
    looked_at_ = -1;
    copy_.clear();
  }

  void on_train_batch_start(BatchContext& ctx) override {
    if (!copy_.taken()) buffers_.take(ctx);
  }

  void on_backward_end(BatchContext& ctx) override {
    looked_at_ = ctx.samples_seen();
    const std::string trouble = find_trouble(ctx);
    if (trouble.empty())
      good(ctx);
    else
      bad(ctx, trouble + " " + at_batch(ctx));
  }

  void on_train_batch_end(BatchContext& ctx) override {
    if (looked_at_ != ctx.samples_seen() && !std::isfinite(ctx.loss()))
      ctx.request_stop(loss_text(ctx) + " " + at_batch(ctx));
    log(ctx);
  }

  void on_train_epoch_end(Context& ctx) override { log(ctx); }

 private:
  enum class Action : std::size_t { stop, skip, raise, rewind };
  enum class Watch : std::size_t { loss, grads, both };

  static std::string loss_text(BatchContext& ctx) { return "the loss is " + std::to_string(ctx.loss()); }

  // What of the batch is not finite; "" if all is. The sum of a group that is left out anyway is not looked at.
  std::string find_trouble(BatchContext& ctx) {
    if (watch_ != Watch::grads && !std::isfinite(ctx.loss())) return loss_text(ctx);
    if (watch_ == Watch::loss || ctx.skipping()) return "";
    for (std::size_t i = 0; i < ctx.num_params(); ++i) grads_.push_back(ctx.grad(i));
    const bool finite = all_finite(grads_);
    grads_.clear();
    if (finite) return "";
    std::size_t i = 0;
    while (all_finite(ctx.grad(i))) ++i;
    return "the gradient of " + std::string(ctx.param_name(i)) + " is not finite";
  }

  void good(BatchContext& ctx) {
    if (action_ != Action::rewind || (copy_.taken() && ++good_ < every_)) return;
    copy_.take(ctx);
    good_ = tries_ = 0;
  }

  void bad(BatchContext& ctx, const std::string& what) {
    ctx.skip_step();
    ++skipped_;
    buffers_.restore(ctx);
    if (action_ == Action::stop) ctx.request_stop(what);
    if (action_ == Action::raise) throw std::runtime_error(what);
    if (action_ == Action::rewind) rewind(ctx, what);
  }

  // Where there is no copy that fits, the next good batch makes one.
  void rewind(BatchContext& ctx, const std::string& what) {
    good_ = 0;
    if (++tries_ > max_tries_)
      ctx.request_stop(what + ", after " + std::to_string(max_tries_) + " others since the last good copy (max_tries)");
    if (!copy_.restore(ctx)) return copy_.clear();
    ++rewinds_;
    if (lr_factor_) ctx.scale_lr(*lr_factor_);
  }

  void log(Context& ctx) const {
    if (action_ == Action::stop || action_ == Action::raise) return;
    ctx.log(skipped_name_, static_cast<double>(skipped_));
    if (action_ == Action::rewind) ctx.log(rewinds_name_, static_cast<double>(rewinds_));
  }

  Action action_;
  Watch watch_;
  std::int64_t every_;
  std::int64_t max_tries_;
  std::optional<double> lr_factor_;
  std::string skipped_name_;
  std::string rewinds_name_;
  std::int64_t skipped_ = 0;
  std::int64_t rewinds_ = 0;
  std::int64_t good_ = 0;        // batches since the last copy or rewind
  std::int64_t tries_ = 0;       // bad batches since the last copy
  std::int64_t looked_at_ = -1;  // the batch on_backward_end has seen, by its samples_seen()
  TrainingCopy copy_;
  BuffersBeforeBatch buffers_;
  std::vector<at::Tensor> grads_;
};

PYHOOKS_CALLBACK(NaNGuard, "nan_guard",
                 "Keeps batches whose loss or gradients are not finite away from the weights: stops, skips, raises or "
                 "rewinds.",
                 {"action", "str", std::string("stop"), "what to do at a bad batch: stop, skip, raise or rewind"},
                 {"watch", "str", std::string("both"), "what must be finite: loss, grads or both"},
                 {"snapshot_every", "int", std::int64_t{100}, "rewind: good batches from one copy to the next"},
                 {"max_tries", "int", std::int64_t{3}, "rewind: how many bad batches since the last copy to bear"},
                 {"lr_factor", "float", {}, "rewind: what each one multiplies the learning rates by; None: nothing"},
                 {"name", "str", std::string("nan_guard"), "what the columns' names begin with"});

}  // namespace pyhooks
