#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyhooks {

/// Names to numbers, in the order in which the names first came.
using Metrics = std::vector<std::pair<std::string, double>>;

const double* find_metric(const Metrics& metrics, std::string_view name);
void set_metric(Metrics& metrics, std::string_view name, double value);

/// The per-batch history: columns of doubles with one row a training batch. A column that appears late, or is not
/// logged on a batch, holds NaN there.
class Recorder {
 public:
  struct Column {
    std::string name;
    std::vector<double> values;
  };

  /// Room for that many further rows, so that rows cost no allocation.
  void reserve(std::int64_t rows);
  /// Opens the next row.
  void begin_row() { ++rows_; }
  /// Sets a value in the open row.
  void set(std::string_view name, double value);
  /// The mean of a column's values in the rows since `first_row`, leaving out rows without a value; NaN if there are none.
  static double mean(const Column& column, std::int64_t first_row);

  std::int64_t rows() const { return rows_; }
  const std::vector<Column>& columns() const { return columns_; }

 private:
  Column& column(std::string_view name);

  std::vector<Column> columns_;
  std::int64_t rows_ = 0;
  std::int64_t reserved_ = 0;
};

}  // namespace pyhooks
