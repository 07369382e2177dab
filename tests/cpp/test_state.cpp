// A callback's state, written and read back.
#include "check.h"
#include "core/state_map.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

class Keeper final : public Callback {
 public:
  double sum = 0;
  std::int64_t count = 0;
  bool seen = false;
  std::string word;
  std::vector<double> numbers;
  at::Tensor weight;
  at::Tensor none;

  void state(State& state) override {
    state.field("sum", sum);
    state.field("count", count);
    state.field("seen", seen);
    state.field("word", word);
    state.field("numbers", numbers);
    state.field("weight", weight);
    state.field("none", none);
  }
};

class Twice final : public Callback {
  void state(State& state) override {
    state.field("a", a_);
    state.field("a", a_);
  }
  double a_ = 0;
};

void fill(Keeper& keeper) {
  keeper.sum = 0.1;
  keeper.count = 1LL << 60;
  keeper.seen = true;
  keeper.word = std::string("w");
  keeper.numbers = {1.5, -2};
  keeper.weight = floats({1, 2});
}

}  // namespace

TEST(state_comes_back_as_it_was) {
  Keeper from;
  fill(from);
  Keeper to;
  load_state(to, save_state(from));
  CHECK(to.sum == 0.1 && to.count == 1LL << 60 && to.seen && to.word == "w");
  CHECK(to.numbers == std::vector<double>{1.5, -2} && values<float>(to.weight) == std::vector<float>{1, 2});
  CHECK(!to.none.defined());
}

TEST(state_tensors_are_copies_and_are_read_in_place) {
  Keeper from;
  fill(from);
  const StateMap saved = save_state(from);
  from.weight.fill_(7);
  Keeper to;
  to.weight = floats({0, 0});
  const void* place = to.weight.const_data_ptr();
  load_state(to, saved);
  CHECK(to.weight.const_data_ptr() == place && values<float>(to.weight) == std::vector<float>{1, 2});
  to.weight.fill_(9);
  Keeper other;
  load_state(other, saved);
  CHECK(values<float>(other.weight) == std::vector<float>{1, 2});
}

TEST(state_of_a_callback_that_keeps_nothing_is_empty) {
  class Silent final : public Callback {};
  Silent silent;
  CHECK(save_state(silent).empty());
}

TEST(state_refuses_what_does_not_fit) {
  Keeper keeper;
  fill(keeper);
  StateMap saved = save_state(keeper);
  saved.erase(saved.begin());
  CHECK_THROWS(load_state(keeper, saved), std::invalid_argument);
  saved.insert(saved.begin(), {"sum", std::string("no number")});
  CHECK_THROWS(load_state(keeper, saved), std::invalid_argument);
  Twice twice;
  CHECK_THROWS(save_state(twice), std::invalid_argument);
}
