#pragma once

#include <ATen/core/Generator.h>

#include <optional>
#include <vector>

#include "core/interfaces.h"

namespace pyhooks {

/// Batches of rows of tensors in memory (or mapped into it), in the order in which torch.utils.data.DataLoader over a
/// TensorDataset gives them, drawing the same random numbers from the same generators:
///
/// - with a seed, from a generator of its own, as `generator=torch.Generator().manual_seed(seed)`;
/// - without, from the default generator, as a DataLoader that was given none;
/// - `quiet`, from no generator at all (validation): then there is no shuffling.
class TensorSource final : public BatchSource {
 public:
  struct Config {
    std::int64_t batch_size = 32;
    bool shuffle = false;
    bool drop_last = false;
    bool quiet = false;
    std::optional<std::uint64_t> seed = {};
  };

  /// Tensors have the same number of rows (their first dimension), at least one, and live on the CPU.
  TensorSource(std::vector<at::Tensor> tensors, const Config& config);

  std::int64_t batches() const override;
  void begin_epoch() override;
  bool next(Batch& batch) override;

  /// Bytes of one full batch.
  std::int64_t batch_bytes() const;
  /// The state of the source's own generator, for checkpoints; undefined if it has none.
  at::Tensor generator_state() const;
  void set_generator_state(const at::Tensor& state);

 private:
  void finish_order();
  at::Tensor gather(const at::Tensor& rows, std::int64_t first, std::int64_t count) const;

  std::vector<at::Tensor> tensors_;
  Config config_;
  std::int64_t rows_;
  std::int64_t position_ = 0;
  std::optional<at::Generator> generator_;
  at::Tensor order_;  // int64 [rows]; undefined without shuffling, and once it is used up
};

}  // namespace pyhooks
