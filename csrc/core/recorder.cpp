#include "core/recorder.h"

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

// Moves the open row's value into the column; `row` is the open row's number.
void Recorder::close(Entry& entry, std::int64_t row) {
  if (!entry.set_in_open) return;
  while (entry.closed.rows() < row) entry.closed.append(kMissing);
  entry.closed.append(entry.open);
  entry.set_in_open = false;
  if (std::isnan(entry.open)) return;
  entry.sum += entry.open;
  ++entry.count;
}

void Recorder::begin_row() {
  for (Entry& entry : entries_) close(entry, rows_ - 1);
  ++rows_;
}

void Recorder::set(std::string_view name, double value) {
  Entry& entry = find_or_add(name);
  entry.open = value;
  entry.set_in_open = rows_ > 0;
}

// Columns are mostly set in one order, row after row: the one after the last is looked at first.
Recorder::Entry& Recorder::find_or_add(std::string_view name) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (next_ >= entries_.size()) next_ = 0;
    Entry& entry = entries_[next_++];
    if (entry.closed.name() == name) return entry;
  }
  next_ = entries_.size() + 1;
  return entries_.emplace_back(std::string(name));
}

const double* Recorder::open_value(std::string_view name) const {
  for (const Entry& entry : entries_)
    if (entry.closed.name() == name) return entry.set_in_open ? &entry.open : nullptr;
  return nullptr;
}

void Recorder::begin_epoch() {
  for (Entry& entry : entries_) {
    close(entry, rows_ - 1);
    entry.sum = 0;
    entry.count = 0;
  }
}

std::vector<std::string> Recorder::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.closed.name());
  return names;
}

std::vector<double> Recorder::column(std::string_view name) const {
  std::vector<double> values(static_cast<std::size_t>(rows_), kMissing);
  for (const Entry& entry : entries_) {
    if (entry.closed.name() != name) continue;
    entry.closed.copy_to(values.data());
    if (entry.set_in_open) values.back() = entry.open;
  }
  return values;
}

Metrics Recorder::means() const {
  Metrics means;
  for (const Entry& entry : entries_) {
    const bool open = entry.set_in_open && !std::isnan(entry.open);
    const std::int64_t count = entry.count + open;
    if (count > 0)
      means.emplace_back(entry.closed.name(), (entry.sum + (open ? entry.open : 0)) / static_cast<double>(count));
  }
  return means;
}

}  // namespace pyhooks
