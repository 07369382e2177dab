#include "core/column.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pyhooks {

namespace {

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

bool fits_float(double value) { return std::isnan(value) || static_cast<double>(static_cast<float>(value)) == value; }

}  // namespace

Column::Chunk Column::pack(const std::vector<double>& values) {
  if (std::all_of(values.begin(), values.end(), [&](double value) { return same_bits(value, values[0]); }))
    return values[0];
  if (std::all_of(values.begin(), values.end(), fits_float)) return std::vector<float>(values.begin(), values.end());
  return values;
}

void Column::append(double value) {
  open_[used_++] = value;
  if (used_ < kChunk) return;
  packed_.push_back(pack(open_));
  used_ = 0;
}

void Column::copy_to(double* out) const {
  for (const Chunk& chunk : packed_) {
    if (const double* constant = std::get_if<double>(&chunk))
      std::fill_n(out, kChunk, *constant);
    else if (const auto* floats = std::get_if<std::vector<float>>(&chunk))
      std::copy(floats->begin(), floats->end(), out);
    else
      std::copy_n(std::get<std::vector<double>>(chunk).begin(), kChunk, out);
    out += kChunk;
  }
  std::copy_n(open_.begin(), used_, out);
}

}  // namespace pyhooks
