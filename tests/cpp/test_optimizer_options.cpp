#include <cmath>

#include "check.h"
#include "compare.h"
#include "optim/options.h"

using namespace pyhooks;

TEST(optimizer_options_have_torchs_defaults) {
  const ParamGroup adamw = make_group(optimizer_info("adamw"), {0, 2}, {});
  CHECK(adamw.params == std::vector<std::size_t>{0, 2});
  CHECK(adamw.hyper.lr == 1e-3 && adamw.hyper.weight_decay == 1e-2 && adamw.eps == 1e-8);
  CHECK(adamw.hyper.beta1 == 0.9 && adamw.hyper.beta2 == 0.999 && std::isnan(adamw.hyper.momentum));
  const ParamGroup sgd = make_group(optimizer_info("sgd"), {}, {{"momentum", 0.9}, {"nesterov", true}, {"lr", 1}});
  CHECK(sgd.hyper.momentum == 0.9 && sgd.nesterov && sgd.hyper.lr == 1 && std::isnan(sgd.hyper.beta1));
}

TEST(optimizer_options_exist_for_every_optimizer) {
  for (const std::string& name : fused_optimizers()) {
    const ClassInfo& info = optimizer_info(name);
    CHECK(!info.class_name.empty());
    ParamGroup group;
    for (const OptionSpec& spec : info.options) CHECK(set_option(group, spec.name, spec.default_value));
  }
  CHECK(!static_cast<bool>(set_option(*std::make_unique<ParamGroup>(), "foreach", true)));
}

TEST(optimizer_options_besides_the_hyper_parameters) {
  const ClassInfo& info = optimizer_info("sgd");
  const auto others = other_options(info, make_group(info, {}, {{"dampening", 0.5}, {"maximize", true}}));
  const std::map<std::string, OptionValue> wanted{{"dampening", 0.5}, {"maximize", true}, {"nesterov", false}};
  CHECK(others == wanted);
}

TEST(optimizer_options_name_what_there_is) {
  try {
    make_group(optimizer_info("adam"), {}, {{"momentum", 0.9}});
    CHECK(false);
  } catch (const std::invalid_argument& error) {
    CHECK(says(error.what(), {"adam has no option 'momentum'", "beta1"}));
  }
  try {
    optimizer_info("lion");
    CHECK(false);
  } catch (const std::invalid_argument& error) {
    CHECK(says(error.what(), {"no optimizer 'lion'", "adamw"}));
  }
}
