// A plugin: lets the learning rate grow over the first steps. It touches no tensor, so it needs no header of torch's.
#include <pyhooks/plugin.h>

class WarmUp final : public pyhooks::Callback {
 public:
  explicit WarmUp(const pyhooks::Options& options) : steps_(options.get<std::int64_t>("steps")) {}

  pyhooks::Phase phase() const override { return pyhooks::Phase::mutate; }
  void state(pyhooks::State& state) override { state.field("full", full_); }

  void on_train_start(pyhooks::Context& ctx) override { full_ = ctx.lr(); }

  void on_train_batch_start(pyhooks::BatchContext& ctx) override {
    const std::int64_t step = ctx.global_step() + 1;
    if (step <= steps_) ctx.set_lr(full_ * static_cast<double>(step) / static_cast<double>(steps_));
  }

 private:
  std::int64_t steps_;
  double full_ = 0;
};

PYHOOKS_CALLBACK(WarmUp, "warm_up", "Lets the learning rate grow over the first steps.",
                 {"steps", "int", std::int64_t{100}, "optimizer steps until the full learning rate"});
