#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace pyhooks {

namespace detail {

/// Whether none of `count` floats has all bits of its exponent set, as infinities and NaNs have, and only they. `unit` is
/// the exponent's lowest bit: added to a float without its sign, it carries into the sign's place exactly then. Three
/// operations a number, without a branch: compilers make vector code of it.
template <class Bits>
bool finite_bits(const void* data, std::int64_t count, Bits unit) {
  constexpr std::int64_t kBlock = 4096;
  constexpr Bits kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  const char* bytes = static_cast<const char*>(data);
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    Bits carried = 0;
    const std::int64_t size = std::min(count - begin, kBlock);
    for (std::int64_t i = 0; i < size; ++i) {
      Bits bits;
      std::memcpy(&bits, bytes + static_cast<std::size_t>(begin + i) * sizeof(Bits), sizeof(Bits));
      carried |= static_cast<Bits>((bits & static_cast<Bits>(~kSign)) + unit);
    }
    if (carried & kSign) return false;
  }
  return true;
}

/// Whether the tensor's numbers lie in memory without gaps, to be read in any order.
inline bool readable(const at::Tensor& tensor) {
  return tensor.layout() == at::kStrided && tensor.is_cpu() && tensor.is_non_overlapping_and_dense();
}

}  // namespace detail

/// Whether a tensor holds no infinity and no NaN; true for an undefined one and for integers. Of a sparse tensor its
/// values count. On the CPU one pass over memory; elsewhere it waits for the device.
inline bool all_finite(const at::Tensor& tensor) {
  if (!tensor.defined() || !(tensor.is_floating_point() || tensor.is_complex())) return true;
  if (tensor.layout() == at::kSparse) return all_finite(tensor._values());
  if (detail::readable(tensor)) {
    const auto scan = [&](auto unit) { return detail::finite_bits(tensor.const_data_ptr(), tensor.numel(), unit); };
    if (tensor.scalar_type() == at::kFloat) return scan(std::uint32_t{1} << 23);
    if (tensor.scalar_type() == at::kDouble) return scan(std::uint64_t{1} << 52);
    if (tensor.scalar_type() == at::kBFloat16) return scan(std::uint16_t{1 << 7});
    if (tensor.scalar_type() == at::kHalf) return scan(std::uint16_t{1 << 10});
  }
  return tensor.isfinite().all().item<bool>();
}

/// Whether none of the tensors holds an infinity or a NaN. Tensors of an accelerator (all on one) are asked together, by
/// their largest absolute values, and waited for once.
inline bool all_finite(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> elsewhere;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined() && !tensor.is_cpu() && tensor.layout() == at::kStrided && tensor.is_floating_point())
      elsewhere.push_back(tensor);
    else if (!all_finite(tensor))
      return false;
  }
  if (elsewhere.empty()) return true;
  return all_finite(at::stack(at::_foreach_norm(elsewhere, std::numeric_limits<double>::infinity())));
}

}  // namespace pyhooks
