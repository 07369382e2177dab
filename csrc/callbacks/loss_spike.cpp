#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "pyhooks/memory_copy.h"
#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"
#include "pyhooks/wording.h"

namespace pyhooks {

/// Finds batches whose loss is far above those before it.
///
/// With the losses x_1, x_2, ... of the batches that were no spikes and b = `decay`, mean and variance are exponential
/// averages, corrected for their start:
///
///     w_k = b w_(k-1) + (1 - b)        a_k = (1 - b) / w_k        d_k = x_k - m_(k-1)
///     m_k = m_(k-1) + a_k d_k          v_k = (1 - a_k) (v_(k-1) + a_k d_k^2)
///
/// which are the weighted mean and variance, the weight of a loss falling by b with each later one. After `after` such
/// batches a loss is a spike if it is above factor * m (where m is above 0) or above m + zscore * sqrt(v), of these what
/// is given; without either, factor is 3. A loss that is not finite is always one. Spikes leave the averages as they are.
///
/// `skip` and `stop` leave the batch's optimizer step out (its whole accumulation group's) and put the buffers back to what
/// they were before it; `snapshot` keeps a copy of the training as it was at the first spike of a row, before its step,
/// and goes on. `max_in_row` spikes in a row are no spikes but a new level: `skip` asks for a stop, `snapshot` starts the
/// averages anew.
class LossSpike final : public Callback {
 public:
  explicit LossSpike(const Options& options)
      : action_{checked::choice(options, "LossSpike", "action", {"skip", "stop", "snapshot"})},
        factor_(checked::positive_or_none(options, "LossSpike", "factor")),
        zscore_(checked::positive_or_none(options, "LossSpike", "zscore")),
        after_(checked::at_least(1, options, "LossSpike", "after")),
        decay_(checked::decay(options, "LossSpike", "decay")),
        max_in_row_(checked::at_least(1, options, "LossSpike", "max_in_row")),
        spikes_name_(options.get<std::string>("name") + "/spikes"),
        limit_name_(options.get<std::string>("name") + "/limit") {
    if (!factor_ && !zscore_) factor_ = 3;
    if (factor_ && *factor_ <= 1)
      throw std::invalid_argument("LossSpike: factor is " + std::to_string(*factor_) + "; it must be above 1");
  }

  Phase phase() const override { return Phase::vote; }
  std::vector<std::string> logs() const override { return {spikes_name_, limit_name_}; }

  void state(State& state) override {
    state.field("mean", mean_);
    state.field("variance", variance_);
    state.field("weight", weight_);
    state.field("count", count_);
    state.field("spikes", spikes_);
    state.field("in_row", in_row_);
  }

  void on_train_start(Context&) override {
    forget();
    spikes_ = in_row_ = 0;
  }

  void on_train_batch_start(BatchContext& ctx) override {
    if (action_ != Action::snapshot) buffers_.take(ctx);
  }

  void on_backward_end(BatchContext& ctx) override {
    const double most = limit();
    if (std::isfinite(most)) ctx.log(limit_name_, most);
    if (std::isfinite(ctx.loss()) && ctx.loss() <= most) {
      in_row_ = 0;
      return learn(ctx.loss());
    }
    ++spikes_;
    ++in_row_;
    spike(ctx, "the loss is " + std::to_string(ctx.loss()) + " " + at_batch(ctx) + ", " + above(most));
  }

  void on_train_batch_end(BatchContext& ctx) override { ctx.log(spikes_name_, static_cast<double>(spikes_)); }
  void on_train_epoch_end(Context& ctx) override { ctx.log(spikes_name_, static_cast<double>(spikes_)); }

 private:
  enum class Action : std::size_t { skip, stop, snapshot };

  static std::string above(double most) {
    return std::isfinite(most) ? "a spike above " + std::to_string(most) : "not finite";
  }

  // What a loss must be above to be a spike.
  double limit() const {
    double least = std::numeric_limits<double>::infinity();
    if (count_ < after_) return least;
    if (factor_ && mean_ > 0) least = *factor_ * mean_;
    if (zscore_) least = std::min(least, mean_ + *zscore_ * std::sqrt(variance_));
    return least;
  }

  void learn(double loss) {
    weight_ = decay_ * weight_ + (1 - decay_);
    const double share = (1 - decay_) / weight_;
    const double difference = loss - mean_;
    mean_ += share * difference;
    variance_ = (1 - share) * (variance_ + share * difference * difference);
    ++count_;
  }

  void forget() {
    mean_ = variance_ = weight_ = 0;
    count_ = 0;
  }

  void spike(BatchContext& ctx, const std::string& what) {
    if (action_ == Action::snapshot) {
      if (in_row_ == 1) ctx.snapshot(what);
      if (in_row_ == max_in_row_) forget();
      return;
    }
    ctx.skip_step();
    buffers_.restore(ctx);
    if (action_ == Action::stop) ctx.request_stop(what);
    if (action_ == Action::skip && in_row_ == max_in_row_)
      ctx.request_stop(what + ", the last of " + std::to_string(max_in_row_) + " in a row (max_in_row)");
  }

  Action action_;
  std::optional<double> factor_;
  std::optional<double> zscore_;
  std::int64_t after_;
  double decay_;
  std::int64_t max_in_row_;
  std::string spikes_name_;
  std::string limit_name_;
  double mean_ = 0;
  double variance_ = 0;
  double weight_ = 0;
  std::int64_t count_ = 0;  // losses in the averages
  std::int64_t spikes_ = 0;
  std::int64_t in_row_ = 0;
  BuffersBeforeBatch buffers_;
};

PYHOOKS_CALLBACK(
    LossSpike, "loss_spike", "Finds batches whose loss is far above those before: skips, stops, snapshots.",
    {"factor", "float", {}, "a spike is above that many times the mean; None: 3, or no limit if zscore is set"},
    {"zscore", "float", {}, "a spike is that many standard deviations above the mean; None: no limit"},
    {"after", "int", std::int64_t{100}, "how many losses to see first"},
    {"decay", "float", 0.98, "how much of mean and variance each batch keeps, in [0, 1)"},
    {"action", "str", std::string("skip"), "what to do at a spike: skip, stop or snapshot"},
    {"max_in_row", "int", std::int64_t{10}, "spikes in a row that are a new level"},
    {"name", "str", std::string("loss_spike"), "what the columns' names begin with"});

}  // namespace pyhooks
