#include <cmath>
#include <deque>
#include <stdexcept>
#include <typeinfo>
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

template <class Error = std::invalid_argument, class Work>
std::string message_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return typeid(error) == typeid(Error) ? error.what() : "of another type";
  }
  return "accepted";
}

std::string refusal(const std::map<std::string, OptionValue>& options) {
  return message_of([&] { make_callback("test_probe", options); });
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
  CHECK(
      says(refusal({{"rate", std::monostate{}}}), {"test_probe", "'rate'", "given None", "takes a float", "how fast"}));
}

TEST(registry_refuses_wrong_types_naming_both) {
  CHECK(says(refusal({{"size", 2.0}}), {"'size'", "given a float", "takes an int"}));
  CHECK(says(refusal({{"size", true}}), {"'size'", "a bool"}));
  CHECK(says(refusal({{"rate", std::string("fast")}}), {"'rate'", "a str"}));
  CHECK(says(refusal({{"rate", true}}), {"'rate'", "a bool"}));
  CHECK(says(refusal({{"name", std::int64_t{1}}}), {"'name'", "given an int", "takes a str"}));
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
  const Options options({{"unset", std::monostate{}}, {"number", 1.5}, {"count", std::int64_t{3}}});
  CHECK(!options.has("unset"));
  CHECK(options.has("number"));
  CHECK(message_of([&] { options.get<double>("unset"); }) ==
        "option 'unset' is not set (None): ask options.has(\"unset\") first");
  CHECK(message_of([&] { options.get<int>("number"); }) ==
        "option 'number' is a float, asked for as an int: write options.get<double>(\"number\"), or declare it of "
        "another type");
  CHECK(says(message_of([&] { options.get<std::string>("count"); }),
             {"'count' is an int, asked for as a str: write options.get<std::int64_t>(\"count\")"}));
  CHECK(message_of([&] { options.get<double>("nowhere"); }) ==
        "no option 'nowhere' is declared; declared are: count, number, unset. Declare it in the registration macro, as "
        "{\"nowhere\", \"float\", 0.5, \"what it is\"}");
  CHECK(message_of([&] { options.has("nowhere"); }) == message_of([&] { options.get<double>("nowhere"); }));
  CHECK(says(message_of([] { Options({}).has("any"); }), {"no option 'any' is declared; declared are: none."}));
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

namespace {

struct Own : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Its constructor throws what it is told to.
class Thrower final : public Callback {
 public:
  explicit Thrower(const Options& options) {
    const auto what = options.get<std::string>("what");
    if (what == "argument") throw std::invalid_argument("beta=2, wanted below 1");
    if (what == "named") throw std::invalid_argument("Thrower: beta=2");
    if (what == "range") throw std::out_of_range("group 3");
    if (what == "runtime") throw std::runtime_error("no file");
    if (what == "own") throw Own("mine");
    throw 42;
  }
  void on_train_start(Context&) override {}
};

PYHOOKS_CALLBACK(Thrower, "test_thrower", "Throws.", {"what", "str", "int", "what to throw"});

template <class Error>
std::string thrown(const std::string& what) {
  return message_of<Error>([&] { make_callback("test_thrower", {{"what", what}}); });
}

}  // namespace

TEST(registry_names_the_class_whose_constructor_throws_and_keeps_the_type) {
  CHECK(thrown<std::invalid_argument>("argument") == "Thrower: beta=2, wanted below 1");
  CHECK(thrown<std::invalid_argument>("named") == "Thrower: beta=2");
  CHECK(thrown<std::out_of_range>("range") == "Thrower: group 3");
  CHECK(thrown<std::runtime_error>("runtime") == "Thrower: no file");
  CHECK(thrown<Own>("own") == "mine");
  CHECK(
      thrown<std::runtime_error>("int") ==
      "Thrower: an object of type int was thrown, which is no std::exception: throw std::runtime_error(message) or the "
      "like");
}

TEST(registry_gives_the_newest_of_a_name_and_keeps_the_others) {
  CHECK(registering({[] { return with_options({{"rate", "float", 1, ""}}); }}) == "registered");
  const ClassInfo& old = find_callback("bad/declared");
  CHECK(registering({[] { return with_options({{"rate", "float", 2, ""}}); }}) == "registered");
  CHECK(std::get<double>(find_callback("bad/declared").options[0].default_value) == 2);
  CHECK(std::get<double>(old.options[0].default_value) == 1);
}
