#include <cmath>

#include "check.h"
#include "compare.h"
#include "core/recorder.h"

using namespace pyhooks;

namespace {

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
  CHECK(recorder.names() == std::vector<std::string>{"loss", "norm"});
  CHECK(same(recorder.column("loss"), {0, 1, 2, 3, 4}));
  CHECK(same(recorder.column("norm"), {kNone, 10, kNone, 30, kNone}));
}

TEST(recorder_takes_columns_in_any_order) {
  Recorder recorder;
  const std::vector<std::vector<std::string>> rows{{"a", "b", "c"}, {"c", "a", "b"}, {"b"}, {"c", "b", "d", "a"}};
  double value = 0;
  for (const auto& names : rows) {
    recorder.begin_row();
    for (const std::string& name : names) recorder.set(name, ++value);
  }
  CHECK(recorder.names() == std::vector<std::string>{"a", "b", "c", "d"});
  CHECK(same(recorder.column("a"), {1, 5, kNone, 11}));
  CHECK(same(recorder.column("b"), {2, 6, 7, 9}));
  CHECK(same(recorder.column("c"), {3, 4, kNone, 8}));
  CHECK(same(recorder.column("d"), {kNone, kNone, kNone, 10}));
}

TEST(recorder_keeps_the_last_of_two_values_in_a_row) {
  Recorder recorder;
  recorder.begin_row();
  recorder.set("a", 1);
  recorder.set("a", 2);
  CHECK(same(recorder.column("a"), {2}));
  CHECK(recorder.means() == Metrics{{"a", 2}});
}

TEST(recorder_ignores_values_before_the_first_row) {
  Recorder recorder;
  recorder.set("a", 1);
  recorder.begin_row();
  CHECK(same(recorder.column("a"), {kNone}));
  CHECK(recorder.means().empty());
}

TEST(recorder_means_are_of_this_epoch_and_leave_out_missing_rows) {
  Recorder recorder;
  for (double value : {1.0, kNone, 3.0, 8.0}) {
    recorder.begin_row();
    if (!std::isnan(value)) recorder.set("a", value);
  }
  CHECK(recorder.means() == Metrics{{"a", 4}});
  recorder.begin_epoch();
  CHECK(recorder.means().empty());
  recorder.begin_row();
  recorder.set("a", kNone);
  recorder.begin_row();
  recorder.set("a", 7);
  CHECK(recorder.means() == Metrics{{"a", 7}});
  CHECK(same(recorder.column("a"), {1, kNone, 3, 8, kNone, 7}));
}

TEST(recorder_gives_long_columns_back_bit_for_bit) {
  Recorder recorder;
  std::vector<double> constant, single, fine;
  for (int row = 0; row < 10000; ++row) {
    constant.push_back(0.1);
    single.push_back(row % 7 == 0 ? kNone : static_cast<double>(1.0F / static_cast<float>(row + 1)));
    fine.push_back(1.0 / (row + 1));
    recorder.begin_row();
    recorder.set("constant", constant.back());
    recorder.set("single", single.back());
    recorder.set("fine", fine.back());
  }
  CHECK(same(recorder.column("constant"), constant));
  CHECK(same(recorder.column("single"), single));
  CHECK(same(recorder.column("fine"), fine));
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
