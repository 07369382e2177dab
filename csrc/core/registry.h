#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pyhooks/plugin.h"

namespace pyhooks {

/// The registered class of that name; throws std::invalid_argument naming the registered ones.
const CallbackInfo& find_callback(const std::string& name);

/// Makes a registered callback. Options are checked against what the class declares: an unknown name or a value of another
/// type throws std::invalid_argument saying what is wanted; ints are taken for floats; what is not given gets its default.
std::shared_ptr<Callback> make_callback(const std::string& name, const std::map<std::string, OptionValue>& options);

}  // namespace pyhooks
