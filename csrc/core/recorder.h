#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/column.h"

namespace pyhooks {

/// Names to numbers, in the order in which the names first came.
using Metrics = std::vector<std::pair<std::string, double>>;

const double* find_metric(const Metrics& metrics, std::string_view name);
void set_metric(Metrics& metrics, std::string_view name, double value);

/// The per-batch history: columns with one row a training batch. A column that appears late, or is not set on a
/// batch, holds NaN there.
class Recorder {
 public:
  /// Opens the next row; what was set in the last one is final.
  void begin_row();
  /// Sets a value in the open row; the last one set counts.
  void set(std::string_view name, double value);
  /// The value set in the open row, or null.
  const double* open_value(std::string_view name) const;
  /// Starts the means anew.
  void begin_epoch();

  std::int64_t rows() const { return rows_; }
  std::vector<std::string> names() const;
  /// A column's rows, the open one included.
  std::vector<double> column(std::string_view name) const;
  /// The mean of the values set since `begin_epoch`, for each column that has any.
  Metrics means() const;

 private:
  struct Entry {
    explicit Entry(std::string name) : closed(std::move(name)) {}
    Column closed;    // rows before the open one; may lag behind, then NaN is meant
    double open = 0;  // the open row's value, if `set_in_open`
    bool set_in_open = false;
    double sum = 0;  // of this epoch's closed rows
    std::int64_t count = 0;
  };

  Entry& find_or_add(std::string_view name);
  static void close(Entry& entry, std::int64_t row);

  std::deque<Entry> entries_;
  std::size_t next_ = 0;  // after the entry that was found last
  std::int64_t rows_ = 0;
};

}  // namespace pyhooks
