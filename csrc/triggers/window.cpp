#include "triggers/window.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace pyhooks::triggers {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void check(bool fits) {
  if (!fits) throw std::invalid_argument("the saved state is that of another window");
}

class Ema final : public Window {
 public:
  explicit Ema(std::int64_t length)
      : decay_(static_cast<double>(length - 1) / static_cast<double>(length + 1)), rest_(1 - decay_) {}

  double push(double value) override {
    sum_ = decay_ * sum_ + rest_ * value;
    weight_ = decay_ * weight_ + rest_;
    return sum_ / weight_;
  }
  double statistic() const override { return sum_ / weight_; }  // 0 / 0 is NaN
  void clear() override { sum_ = weight_ = 0; }
  std::vector<double> kept() const override { return {sum_, weight_}; }
  void restore(const std::vector<double>& kept) override {
    check(kept.size() == 2);
    sum_ = kept[0];
    weight_ = kept[1];
  }

 private:
  double decay_;
  double rest_;
  double sum_ = 0;
  double weight_ = 0;
};

// Summaries: what is to be known of some values, in order to know it of them and others together.

struct Least {
  double value;
  static Least of(double value) { return {value}; }
  static Least both(Least a, Least b) { return {b.value < a.value ? b.value : a.value}; }
};

struct Greatest {
  double value;
  static Greatest of(double value) { return {value}; }
  static Greatest both(Greatest a, Greatest b) { return {b.value > a.value ? b.value : a.value}; }
};

/// Number, mean, and sum of squared distances from it, joined as Chan, Golub and LeVeque (1983) do.
struct Moments {
  double count;
  double mean;
  double squares;

  static Moments of(double value) { return {1, value, 0}; }
  static Moments both(const Moments& a, const Moments& b) {
    const double count = a.count + b.count;
    const double step = b.mean - a.mean;
    const double share = b.count / count;
    return {count, a.mean + step * share, a.squares + b.squares + step * step * a.count * share};
  }
};

double result(WindowKind kind, const Moments& moments) {
  if (kind == WindowKind::mean) return moments.mean;
  return moments.count > 1 ? std::sqrt(moments.squares / (moments.count - 1)) : kNaN;
}
template <class Extreme>
double result(WindowKind, const Extreme& extreme) {
  return extreme.value;
}

/// The last n values as a queue of two stacks. New values go onto `young_`, whose summary grows with them. The oldest are
/// taken from `old_`, which keeps, beside each value, the summary of it and all that are younger there. When `old_` is
/// empty, `young_` is turned over onto it.
template <class Summary>
class Rolling final : public Window {
 public:
  Rolling(WindowKind kind, std::int64_t length) : kind_(kind), length_(static_cast<std::size_t>(length)) {}

  double push(double value) override {
    if (old_.size() + young_.size() == length_) drop_oldest();
    young_.push_back(value);
    young_summary_ = young_.size() == 1 ? Summary::of(value) : Summary::both(young_summary_, Summary::of(value));
    return statistic();
  }

  double statistic() const final {
    if (young_.empty()) return old_.empty() ? kNaN : result(kind_, old_.back().summary);
    return result(kind_, old_.empty() ? young_summary_ : Summary::both(old_.back().summary, young_summary_));
  }

  void clear() override {
    old_.clear();
    young_.clear();
  }

  std::vector<double> kept() const override {  // how many are old, then all from the oldest to the youngest
    std::vector<double> kept{static_cast<double>(old_.size())};
    for (auto entry = old_.rbegin(); entry != old_.rend(); ++entry) kept.push_back(entry->value);
    kept.insert(kept.end(), young_.begin(), young_.end());
    return kept;
  }

  void restore(const std::vector<double>& kept) override {
    check(!kept.empty() && kept.size() <= length_ + 1);
    check(kept[0] >= 0 && kept[0] < static_cast<double>(kept.size()));
    clear();
    const auto young = kept.begin() + 1 + static_cast<std::ptrdiff_t>(kept[0]);
    for (auto value = young; value != kept.begin() + 1;) add_old(*--value);
    for (auto value = young; value != kept.end(); ++value) push(*value);
  }

 private:
  struct Entry {
    double value;
    Summary summary;
  };

  void add_old(double value) {
    const Summary one = Summary::of(value);
    old_.push_back({value, old_.empty() ? one : Summary::both(one, old_.back().summary)});
  }

  void drop_oldest() {
    if (old_.empty()) {
      for (auto value = young_.rbegin(); value != young_.rend(); ++value) add_old(*value);
      young_.clear();
    }
    old_.pop_back();
  }

  WindowKind kind_;
  std::size_t length_;
  std::vector<Entry> old_;
  std::vector<double> young_;
  Summary young_summary_{};
};

}  // namespace

std::unique_ptr<Window> make_window(WindowKind kind, std::int64_t length) {
  switch (kind) {
    case WindowKind::ema:
      return std::make_unique<Ema>(length);
    case WindowKind::min:
      return std::make_unique<Rolling<Least>>(kind, length);
    case WindowKind::max:
      return std::make_unique<Rolling<Greatest>>(kind, length);
    default:
      return std::make_unique<Rolling<Moments>>(kind, length);
  }
}

}  // namespace pyhooks::triggers
