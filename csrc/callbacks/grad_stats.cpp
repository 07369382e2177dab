#include "pyhooks/tensor_stats.h"

namespace pyhooks {

/// Logs statistics of gradients.
class GradStats final : public TensorStats {
 public:
  using TensorStats::TensorStats;

  bool fits(TapKind kind) const override { return kind != TapKind::output; }
};

PYHOOKS_TENSOR_HOOK(GradStats, "grad_stats", "Logs statistics of gradients.", PYHOOKS_TENSOR_STATS_OPTIONS);

}  // namespace pyhooks
