// The windows of triggers, against sums over the values themselves.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "check.h"
#include "compare.h"
#include "core/state_map.h"
#include "triggers/machine.h"
#include "triggers/parser.h"
#include "triggers/window.h"

using namespace pyhooks;
using namespace pyhooks::triggers;

namespace {

using Values = std::vector<double>;

Values last(const Values& all, std::size_t n) {
  return Values(all.end() - std::min<std::ptrdiff_t>(all.size(), n), all.end());
}

double mean(const Values& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation(const Values& values) {
  const double middle = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));  // one value: 0 / 0
}

// Weights by their definition: (1 - alpha)^age, alpha = 2 / (n + 1).
double ema(const Values& all, std::int64_t n) {
  double sum = 0;
  double weights = 0;
  double weight = 1;
  for (auto value = all.rbegin(); value != all.rend(); ++value) {
    sum += weight * *value;
    weights += weight;
    weight *= 1 - 2.0 / static_cast<double>(n + 1);
  }
  return sum / weights;
}

double expected(WindowKind kind, const Values& all, std::int64_t n) {
  if (all.empty()) return std::nan("");
  const Values window = last(all, static_cast<std::size_t>(n));
  switch (kind) {
    case WindowKind::ema:
      return ema(all, n);
    case WindowKind::min:
      return *std::min_element(window.begin(), window.end());
    case WindowKind::max:
      return *std::max_element(window.begin(), window.end());
    case WindowKind::mean:
      return mean(window);
    default:
      return deviation(window);
  }
}

bool close(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b));
}

constexpr WindowKind kKinds[] = {WindowKind::ema, WindowKind::min, WindowKind::max, WindowKind::mean, WindowKind::std};

/// The loss, as the only input.
class Loss {
 public:
  double loss = 0;
  double fetch(std::size_t) { return loss; }
};

/// For each loss whether the expression holds: "0110".
std::string run(Machine& machine, const Values& losses) {
  Loss source;
  std::string held;
  for (const double loss : losses) {
    source.loss = loss;
    held += machine.holds(source) ? '1' : '0';
    machine.advance(source);
  }
  return held;
}

std::string run(const std::string& text, const Values& losses) {
  Machine machine(compile(text));
  return run(machine, losses);
}

/// A callback that is nothing but a machine's state.
class Kept final : public Callback {
 public:
  explicit Kept(Machine& machine) : machine_(machine) {}
  void state(State& state) override { machine_.state(state); }

 private:
  Machine& machine_;
};

}  // namespace

TEST(trigger_windows_are_what_they_say) {
  std::mt19937 random(0);
  std::normal_distribution<double> normal(3, 2);
  for (const WindowKind kind : kKinds) {
    for (const std::int64_t n : {1, 2, 3, 7, 20}) {
      const auto window = make_window(kind, n);
      Values all;
      for (int i = 0; i < 70; ++i) {
        CHECK(close(window->statistic(), expected(kind, all, n)));
        all.push_back(normal(random));
        window->push(all.back());
      }
      window->clear();
      CHECK(std::isnan(window->statistic()));
      window->push(5);
      CHECK(close(window->statistic(), expected(kind, {5}, n)));
    }
  }
}

TEST(trigger_windows_forget_a_giant_once_it_has_left) {
  for (const WindowKind kind : {WindowKind::mean, WindowKind::std}) {
    const auto window = make_window(kind, 4);
    for (const double value : {1.0, 1e100, 1.0, 2.0, 3.0, 4.0}) window->push(value);
    CHECK(close(window->statistic(), expected(kind, {1, 2, 3, 4}, 4)));
  }
}

TEST(trigger_windows_go_on_bit_for_bit_from_what_they_kept) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal(3, 2);
  for (const WindowKind kind : kKinds) {
    for (int before = 0; before < 12; ++before) {
      const auto window = make_window(kind, 5);
      for (int i = 0; i < before; ++i) window->push(normal(random));
      const auto resumed = make_window(kind, 5);
      resumed->push(17);
      resumed->restore(window->kept());
      CHECK(resumed->kept() == window->kept());
      for (int i = 0; i < 12; ++i) {
        const double value = normal(random);
        window->push(value);
        resumed->push(value);
        CHECK(same({window->statistic()}, {resumed->statistic()}));
      }
    }
  }
}

TEST(trigger_windows_refuse_what_another_kept) {
  CHECK_THROWS(make_window(WindowKind::ema, 5)->restore({1, 2, 3}), std::invalid_argument);
  CHECK_THROWS(make_window(WindowKind::mean, 2)->restore({}), std::invalid_argument);
  CHECK_THROWS(make_window(WindowKind::mean, 2)->restore({0, 1, 2, 3}), std::invalid_argument);
  CHECK_THROWS(make_window(WindowKind::mean, 2)->restore({3, 1, 2}), std::invalid_argument);
  CHECK_THROWS(make_window(WindowKind::mean, 2)->restore({-1, 1, 2}), std::invalid_argument);
}

TEST(trigger_windows_are_of_earlier_batches) {
  CHECK(run("loss > 3 * ema(loss, 100)", {1, 1, 4, 1, 1}) == "00100");
  CHECK(run("loss < min(loss, 3)", {5, 4, 6, 3, 4, 4, 4, 3.5}) == "01010001");
  CHECK(run("loss > max(loss, 2)", {1, 2, 1, 1, 2}) == "01001");
  CHECK(run("isnan(mean(loss, 4))", {1, 1, 1}) == "100");
  CHECK(run("isnan(std(loss, 4))", {1, 1, 1}) == "110");
}

TEST(trigger_windows_leave_out_what_is_not_finite) {
  const double nan = std::nan("");
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(run("mean(loss, 2) == 3", {2, 4, nan, inf, 0, 0}) == "001110");
}

TEST(trigger_windows_see_batches_that_short_circuits_leave_out) {
  CHECK(run("loss > 100 and mean(loss, 2) > 3 or mean(loss, 3) == 2", {1, 2, 3, 0}) == "0001");
  CHECK(run("every(3) and ema(loss, 1) == 7", {1, 7, 7, 7, 8, 7, 7, 7, 0}) == "001000001");
}

TEST(trigger_windows_take_expressions_and_each_other) {
  CHECK(run("mean(loss > 2, 4) >= 0.4", {1, 3, 3, 1, 1, 1}) == "001111");
  CHECK(run("max(abs(loss - ema(loss, 1)), 10) == 4", {1, 2, 6, 5, 5}) == "00011");
  CHECK(run("loss > min(mean(loss, 2), 8.5)", {8, 9, 10, 8}) == "0110");
}

TEST(trigger_that_names_a_window_twice_has_one) {
  CHECK(compile("loss > 2 * mean(loss, 5) or loss < 0.5 * mean(loss, 5)").windows.size() == 1);
  CHECK(compile("loss > 2 * mean(loss, 5) or loss < 0.5 * mean(loss, 6)").windows.size() == 2);
}

TEST(trigger_state_goes_on_as_if_it_had_never_stopped) {
  const std::string text =
      "loss > mean(loss, 4) + std(loss, 5) or every(4) and ema(loss, 3) > 3 and loss < max(loss, 3)";
  std::mt19937 random(2);
  std::normal_distribution<double> normal(3, 1);
  Values losses(60);
  std::generate(losses.begin(), losses.end(), [&] { return normal(random); });
  const std::string whole = run(text, losses);
  CHECK(whole.find('1') != std::string::npos && whole.find('0') != std::string::npos);
  for (const std::ptrdiff_t cut : {0, 1, 13, 30}) {
    Machine first(compile(text));
    Machine second(compile(text));
    const std::string before = run(first, {losses.begin(), losses.begin() + cut});
    Kept kept(first);
    Kept into(second);
    load_state(into, save_state(kept));
    CHECK(before + run(second, {losses.begin() + cut, losses.end()}) == whole);
  }
}
