#include <string>

#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Logs an exponential moving average of the loss for every batch, corrected for its start at zero as Adam corrects
/// its moments (Kingma and Ba, 2015, section 3).
class LossMeter final : public Callback {
 public:
  explicit LossMeter(const Options& options)
      : decay_(checked::decay(options, "LossMeter", "decay")), name_(options.get<std::string>("name")) {}

  std::vector<std::string> logs() const override { return {name_}; }

  void state(State& state) override {
    state.field("sum", sum_);
    state.field("weight", weight_);
  }

  void on_train_start(Context&) override {
    sum_ = 0;
    weight_ = 0;
  }

  void on_train_batch_end(BatchContext& ctx) override {
    sum_ = decay_ * sum_ + (1 - decay_) * ctx.loss();
    weight_ = decay_ * weight_ + (1 - decay_);
    ctx.log(name_, sum_ / weight_);
  }

 private:
  double decay_;
  std::string name_;
  double sum_ = 0;
  double weight_ = 0;
};

PYHOOKS_CALLBACK(LossMeter, "loss_meter", "Logs a moving average of the loss for every batch.",
                 {"decay", "float", 0.98, "how much of the average each batch keeps, in [0, 1)"},
                 {"name", "str", std::string("loss_ema"), "the history's column and the epoch's metric"});

}  // namespace pyhooks
