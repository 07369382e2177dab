#include "core/recorder.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pyhooks {

namespace {
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
}

const double* find_metric(const Metrics& metrics, std::string_view name) {
  for (const auto& [key, value] : metrics)
    if (key == name) return &value;
  return nullptr;
}

void set_metric(Metrics& metrics, std::string_view name, double value) {
  for (auto& [key, old] : metrics)
    if (key == name) {
      old = value;
      return;
    }
  metrics.emplace_back(name, value);
}

void Recorder::reserve(std::int64_t rows) {
  // Doubling keeps a run of many epochs from copying its whole history each epoch.
  if (rows_ + rows > reserved_) reserved_ = std::max(rows_ + rows, 2 * reserved_);
  for (Column& column : columns_) column.values.reserve(static_cast<std::size_t>(reserved_));
}

Recorder::Column& Recorder::column(std::string_view name) {
  for (Column& column : columns_)
    if (column.name == name) return column;
  columns_.push_back({std::string(name), {}});
  columns_.back().values.reserve(static_cast<std::size_t>(std::max(reserved_, rows_)));
  return columns_.back();
}

void Recorder::set(std::string_view name, double value) {
  std::vector<double>& values = column(name).values;
  values.resize(static_cast<std::size_t>(rows_), kMissing);
  if (!values.empty()) values.back() = value;
}

double Recorder::mean(const Column& column, std::int64_t first_row) {
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t i = static_cast<std::size_t>(first_row); i < column.values.size(); ++i)
    if (!std::isnan(column.values[i])) {
      sum += column.values[i];
      ++count;
    }
  return count ? sum / static_cast<double>(count) : kMissing;
}

}  // namespace pyhooks
