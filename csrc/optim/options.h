#pragma once

#include <map>
#include <string>
#include <vector>

#include "optim/fused.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// What the groups of a fused optimizer can be made with: the options and defaults of torch.optim's class, which
/// `class_name` names. Throws std::invalid_argument if there is no optimizer of that name.
const ClassInfo& optimizer_info(const std::string& name);

/// A group of these parameters. Throws std::invalid_argument for options that it does not have.
ParamGroup make_group(const ClassInfo& info, std::vector<std::size_t> params,
                      const std::map<std::string, OptionValue>& options);

/// The options of a group besides those in `Hyper`, by name.
std::map<std::string, OptionValue> other_options(const ClassInfo& info, const ParamGroup& group);

/// Sets an option of a group, those in `Hyper` too; false if no optimizer has one of that name.
bool set_option(ParamGroup& group, const std::string& name, const OptionValue& value);

}  // namespace pyhooks
