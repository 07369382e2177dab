#include "pyhooks/tensor_stats.h"

namespace pyhooks {

/// Logs statistics of what modules return.
class ActivationStats final : public TensorStats {
 public:
  using TensorStats::TensorStats;

  bool fits(TapKind kind) const override { return kind == TapKind::output; }
};

PYHOOKS_TENSOR_HOOK(ActivationStats, "activation_stats", "Logs statistics of what modules return.",
                    PYHOOKS_TENSOR_STATS_OPTIONS);

}  // namespace pyhooks
