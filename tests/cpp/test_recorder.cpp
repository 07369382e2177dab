#include <cmath>

#include "check.h"
#include "core/recorder.h"

using namespace pyhooks;

namespace {

/// Equal, NaN at the same places.
bool same(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  return true;
}

const double kNone = std::nan("");

}  // namespace

TEST(recorder_fills_rows_without_a_value_with_nan) {
  Recorder recorder;
  for (int row = 0; row < 5; ++row) {
    recorder.begin_row();
    recorder.set("loss", row);
    if (row == 1 || row == 3) recorder.set("norm", 10.0 * row);
  }
  CHECK(recorder.rows() == 5);
  CHECK(recorder.columns().size() == 2);
  CHECK(recorder.columns()[0].name == "loss");
  CHECK(same(recorder.columns()[0].values, {0, 1, 2, 3, 4}));
  CHECK(same(recorder.columns()[1].values, {kNone, 10, kNone, 30}));  // shorter: its last row is not set
}

TEST(recorder_keeps_the_last_of_two_values_in_a_row) {
  Recorder recorder;
  recorder.begin_row();
  recorder.set("a", 1);
  recorder.set("a", 2);
  CHECK(same(recorder.columns()[0].values, {2}));
}

TEST(recorder_ignores_values_before_the_first_row) {
  Recorder recorder;
  recorder.set("a", 1);
  CHECK(recorder.rows() == 0);
  CHECK(recorder.columns()[0].values.empty());
}

TEST(recorder_means_leave_out_missing_rows) {
  const Recorder::Column column{"a", {1, kNone, 3, 8}};
  CHECK(Recorder::mean(column, 0) == 4);
  CHECK(Recorder::mean(column, 2) == 5.5);
  CHECK(Recorder::mean(column, 1) == 5.5);
  CHECK(std::isnan(Recorder::mean(column, 4)));
  CHECK(std::isnan(Recorder::mean({"b", {kNone}}, 0)));
}

TEST(recorder_does_not_allocate_inside_reserved_rows) {
  Recorder recorder;
  recorder.reserve(100);
  for (int row = 0; row < 100; ++row) {
    recorder.begin_row();
    recorder.set("a", row);
    if (row >= 50) recorder.set("late", row);
    static const double* first;
    if (row == 0) first = recorder.columns()[0].values.data();
    CHECK(recorder.columns()[0].values.data() == first);
  }
  CHECK(recorder.columns()[1].values.capacity() >= 100);
}

TEST(recorder_metrics_keep_the_order_of_their_names) {
  Metrics metrics;
  set_metric(metrics, "b", 1);
  set_metric(metrics, "a", 2);
  set_metric(metrics, "b", 3);
  CHECK(metrics == Metrics{{"b", 3}, {"a", 2}});
  CHECK(*find_metric(metrics, "a") == 2);
  CHECK(find_metric(metrics, "c") == nullptr);
}
