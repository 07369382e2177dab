#include <string>
#include <vector>

#include "pyhooks/plugin.h"

namespace pyhooks {

/// Has the loop note for every batch where its time went, in seconds: waiting for the data, the step (forward, backward,
/// clipping, optimizer), callbacks of batch events. A batch's times are known when its last callback has been called, so
/// the loop itself writes them into the batch's row; the epoch's metrics hold the means.
class StepTimer final : public Callback {
 public:
  explicit StepTimer(const Options&) {}

  std::vector<std::string> logs() const override { return {"time/data", "time/step", "time/callbacks"}; }

  void on_train_start(Context& ctx) override { ctx.time_steps(true); }
};

PYHOOKS_CALLBACK(StepTimer, "step_timer",
                 "Logs for every batch the seconds spent waiting for data, in the step and in callbacks.");

}  // namespace pyhooks
