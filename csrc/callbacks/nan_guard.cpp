#include <cmath>
#include <string>

#include "pyhooks/plugin.h"

namespace pyhooks {

/// Asks for a stop when a batch's loss is not finite, and says which batch it was.
class NaNGuard final : public Callback {
 public:
  explicit NaNGuard(const Options&) {}

  Phase phase() const override { return Phase::vote; }

  void on_train_batch_end(BatchContext& ctx) override {
    if (std::isfinite(ctx.loss())) return;
    ctx.request_stop("the loss is " + std::to_string(ctx.loss()) + " at batch " + std::to_string(ctx.batch()) +
                     " of epoch " + std::to_string(ctx.epoch()) + " (step " + std::to_string(ctx.global_step()) + ")");
  }
};

PYHOOKS_CALLBACK(NaNGuard, "nan_guard", "Stops training when a batch's loss is not finite, naming the batch.");

}  // namespace pyhooks
