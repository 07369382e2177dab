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

/// Whether none of `count` numbers has all bits of `exponent` set, as infinities and NaNs have, and only they.
template <class Bits>
bool finite_bits(const void* data, std::int64_t count, Bits exponent) {
  constexpr std::int64_t kBlock = 1024;
  const char* bytes = static_cast<const char*>(data);
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    bool found = false;
    for (std::int64_t i = begin, end = std::min(count, begin + kBlock); i < end; ++i) {
      Bits bits;
      std::memcpy(&bits, bytes + static_cast<std::size_t>(i) * sizeof(Bits), sizeof(Bits));
      found |= (bits & exponent) == exponent;
    }
    if (found) return false;
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
    const auto scan = [&](auto exponent) {
      return detail::finite_bits(tensor.const_data_ptr(), tensor.numel(), exponent);
    };
    if (tensor.scalar_type() == at::kFloat) return scan(std::uint32_t{0x7f800000});
    if (tensor.scalar_type() == at::kDouble) return scan(std::uint64_t{0x7ff0000000000000});
    if (tensor.scalar_type() == at::kBFloat16) return scan(std::uint16_t{0x7f80});
    if (tensor.scalar_type() == at::kHalf) return scan(std::uint16_t{0x7c00});
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
