#include <cmath>
#include <deque>
#include <utility>

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

TEST(options_convert_to_the_type_asked_for) {
  const Options options({{"number", std::int64_t{300}}, {"share", 0.25}, {"name", std::string("x")}, {"on", true}});
  CHECK(options.get<int>("number") == 300);
  CHECK(options.get<std::uint64_t>("number") == 300);
  CHECK(options.get<float>("share") == 0.25F);
  CHECK_THROWS(options.get<std::int8_t>("number"), std::invalid_argument);
  CHECK_THROWS(options.get<int>("on"), std::invalid_argument);
  CHECK_THROWS(options.get<double>("number"), std::invalid_argument);
}

namespace {

// What registering a library with these classes says.
std::string registering(const std::vector<ClassInfo (*)()>& classes) {
  const void* own = std::exchange(detail::this_library.classes, nullptr);
  std::deque<detail::Entry> entries;
  for (const auto describe : classes) entries.emplace_back("", describe);
  const pyhooks_library library = detail::this_library;
  detail::this_library.classes = own;
  try {
    register_classes(library, "bad");
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "registered";
}

ClassInfo with_options(std::vector<OptionSpec> options) {
  return detail::callback_info<Probe>("declared", "test::Declared", "Says something.", std::move(options));
}

}  // namespace

TEST(registry_refuses_classes_declared_wrongly_and_registers_none) {
  const std::size_t before = registered_classes("callback").size();
  CHECK(registering({[] { return with_options({{"rate", "double", 0.5, ""}}); }}) ==
        "Declared declares option 'rate' of type 'double'; it must be bool, int, float or str");
  CHECK(registering({[] { return with_options({{"rate", "int", 0.5, ""}}); }}) ==
        "Declared declares option 'rate' of type int, but its default is of type float");
  CHECK(registering({[] { return with_options({{"two words", "int", 1, ""}}); }}) ==
        "Declared declares option 'two words' by a name that cannot be a keyword argument");
  CHECK(registering({[] { return with_options({{"rate", "int", 1, ""}, {"rate", "int", 1, ""}}); }}) ==
        "Declared declares option 'rate' twice");
  CHECK(registering({[] { return with_options({}); }, [] { return with_options({}); }}) ==
        "two classes are registered as callback 'declared'");
  CHECK(registered_classes("callback").size() == before);
}

TEST(registry_gives_the_newest_of_a_name_and_keeps_the_others) {
  CHECK(registering({[] { return with_options({{"rate", "float", 1, ""}}); }}) == "registered");
  const ClassInfo& old = find_callback("bad/declared");
  CHECK(registering({[] { return with_options({{"rate", "float", 2, ""}}); }}) == "registered");
  CHECK(std::get<double>(find_callback("bad/declared").options[0].default_value) == 2);
  CHECK(std::get<double>(old.options[0].default_value) == 1);
}
