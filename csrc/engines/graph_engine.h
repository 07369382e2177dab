#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "core/interfaces.h"
#include "engines/plan.h"

namespace pyhooks {

/// A plan and how to read its outputs: [loss, stats..., outputs..., grads...]; predict has outputs only.
struct CapturedStep {
  std::shared_ptr<Plan> plan;
  std::vector<at::Tensor> fixed;  ///< parameters and constants, the plan's first inputs
  std::size_t n_stats = 0;
  std::size_t n_outputs = 0;
  bool draws_random = true;  ///< from the default generator
  int verify = 0;            ///< how many of its first batches to compare with eager
};

/// Where plans come from.
class PlanProvider {
 public:
  virtual ~PlanProvider() = default;
  /// Captures the step for batches like this one; or, where that cannot be, the engine to use instead.
  virtual std::variant<std::shared_ptr<CapturedStep>, std::shared_ptr<StepEngine>> capture(Mode mode,
                                                                                           const Batch& batch) = 0;
  /// Calls `run` (which fills `result`), and compares with eager; undoes what it did and returns another engine where they differ.
  virtual std::shared_ptr<StepEngine> verify(Mode mode, const CapturedStep& step, const Batch& batch,
                                             StepResult& result, const std::function<void()>& run) = 0;
};

/// Runs captured steps: one plan for each mode and each kind of batch (sizes, strides, dtypes), kept for reuse.
class GraphEngine final : public StepEngine {
 public:
  explicit GraphEngine(std::shared_ptr<PlanProvider> provider) : provider_(std::move(provider)) {}

  std::string name() const override;
  void step(Mode mode, const Batch& batch, StepResult& result) override;
  bool draws_random() const override;

  /// Captures the plan for batches like this one now rather than at its first use.
  void prepare(Mode mode, const Batch& batch) { find(mode, batch); }
  std::size_t plans() const { return plans_.size(); }

 private:
  struct Entry {
    Mode mode;
    std::vector<std::int64_t> signature;
    std::shared_ptr<CapturedStep> step;
    std::uint64_t used = 0;  ///< when last, in steps of this engine
  };
  /// More kinds of batch than this, and the plan unused for longest makes room.
  static constexpr std::size_t kMostPlans = 256;

  /// The plan, or null where `instead_[mode]` is to be used.
  CapturedStep* find(Mode mode, const Batch& batch);
  void make_room();
  void run(CapturedStep& step, Mode mode, const Batch& batch, StepResult& result);

  std::shared_ptr<PlanProvider> provider_;
  std::vector<std::unique_ptr<Entry>> plans_;
  std::array<Entry*, 3> last_{};
  std::uint64_t steps_ = 0;
  std::array<std::shared_ptr<StepEngine>, 3> instead_;
  std::vector<std::int64_t> signature_;  // of the batch in hand
  std::vector<at::Tensor> raw_;
};

}  // namespace pyhooks
