#include <cmath>

#include "check.h"
#include "compare.h"
#include "core/registry.h"
#include "fake_host.h"

using namespace pyhooks;

namespace {

/// Shows its options: what it was made with is logged at on_train_start.
class Probe final : public Callback {
 public:
  explicit Probe(const Options& options) : options_(options) {}
  void on_train_start(Context& ctx) override {
    ctx.log("size", static_cast<double>(options_.get<std::int64_t>("size")));
    ctx.log("rate", options_.get<double>("rate"));
    ctx.log("on", options_.get<bool>("on") ? 1 : 0);
    ctx.log(options_.get<std::string>("name"), options_.has("limit") ? options_.get<double>("limit") : -1);
  }

 private:
  Options options_;
};

PYHOOKS_CALLBACK(Probe, "test_probe", "Shows its options.", {"size", "int", 3, "how many"},
                 {"rate", "float", 0.5, "how fast"}, {"on", "bool", true, "whether"},
                 {"name", "str", "probe", "what it is called"}, {"limit", "float", {}, "None: no limit"});

using Logged = std::vector<std::pair<std::string, double>>;

Logged shown(const std::map<std::string, OptionValue>& options) {
  FakeHost host;
  Context context(host);
  make_callback("test_probe", options)->on_train_start(context);
  return host.logs;
}

std::string refusal(const std::map<std::string, OptionValue>& options) {
  try {
    make_callback("test_probe", options);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST(registry_fills_in_defaults) { CHECK(shown({}) == Logged{{"size", 3}, {"rate", 0.5}, {"on", 1}, {"probe", -1}}); }

TEST(registry_takes_options_and_ints_for_floats) {
  const std::map<std::string, OptionValue> options{{"size", std::int64_t{7}},
                                                   {"rate", std::int64_t{2}},
                                                   {"on", false},
                                                   {"name", std::string("x")},
                                                   {"limit", std::int64_t{1} << 40}};
  CHECK(shown(options) == Logged{{"size", 7}, {"rate", 2}, {"on", 0}, {"x", std::ldexp(1.0, 40)}});
}

TEST(registry_takes_none_only_where_the_default_is_none) {
  CHECK(shown({{"limit", std::monostate{}}}).back().second == -1);
  CHECK(says(refusal({{"rate", std::monostate{}}}), {"test_probe", "'rate'", "None", "float", "how fast"}));
}

TEST(registry_refuses_wrong_types_naming_both) {
  CHECK(says(refusal({{"size", 2.0}}), {"'size'", "a float", "a int"}));
  CHECK(says(refusal({{"size", true}}), {"'size'", "a bool"}));
  CHECK(says(refusal({{"rate", std::string("fast")}}), {"'rate'", "a str"}));
  CHECK(says(refusal({{"rate", true}}), {"'rate'", "a bool"}));
  CHECK(says(refusal({{"name", std::int64_t{1}}}), {"'name'", "a int", "a str"}));
}

TEST(registry_refuses_unknown_options_naming_the_known) {
  CHECK(says(refusal({{"sizes", std::int64_t{1}}}), {"test_probe", "'sizes'", "size, rate, on, name, limit"}));
}

TEST(registry_refuses_unknown_names_naming_the_known) {
  CHECK_THROWS(make_callback("grad_clipp", {}), std::invalid_argument);
  try {
    find_callback("grad_clipp");
  } catch (const std::invalid_argument& error) {
    CHECK(says(error.what(), {"'grad_clipp'", "grad_clip", "loss_meter", "nan_guard"}));
  }
}

TEST(registry_knows_what_a_class_overrides) { CHECK(find_callback("test_probe").events == bit(Event::on_train_start)); }

TEST(options_say_what_is_asked_wrongly) {
  const Options options({{"unset", std::monostate{}}, {"number", 1.5}});
  CHECK(!options.has("unset"));
  CHECK(options.has("number"));
  CHECK_THROWS(options.get<double>("unset"), std::invalid_argument);
  CHECK_THROWS(options.get<std::string>("number"), std::invalid_argument);
  CHECK_THROWS(options.get<double>("nowhere"), std::invalid_argument);
  CHECK_THROWS(options.has("nowhere"), std::invalid_argument);
}
