#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace pyhooks {

/// A growing column of doubles that stays small: full chunks whose values are all the same keep one, those whose values
/// float32 holds exactly (a float32 loss) are kept as float32. Reading gives back the very doubles.
class Column {
 public:
  explicit Column(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  std::int64_t rows() const { return static_cast<std::int64_t>(packed_.size() * kChunk + used_); }
  void append(double value);
  /// Writes all rows to `out`, which has room for them.
  void copy_to(double* out) const;

 private:
  static constexpr std::size_t kChunk = 4096;
  using Chunk = std::variant<double, std::vector<float>, std::vector<double>>;

  static Chunk pack(const std::vector<double>& values);

  std::string name_;
  std::vector<Chunk> packed_;
  std::vector<double> open_ = std::vector<double>(kChunk);
  std::size_t used_ = 0;  // of `open_`
};

}  // namespace pyhooks
