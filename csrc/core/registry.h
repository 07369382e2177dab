#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pyhooks/plugin.h"
#include "pyhooks/tap.h"

namespace pyhooks {

/// Options checked against what a class of that name declares: an unknown name or a value of another type throws
/// std::invalid_argument saying what is wanted; ints are taken for floats; what is not given gets its default.
Options checked_options(const std::string& name, const std::vector<OptionSpec>& specs,
                        const std::map<std::string, OptionValue>& options);

/// The registered class of that name; throws std::invalid_argument naming the registered ones.
const CallbackInfo& find_callback(const std::string& name);

/// Makes a registered callback, its options checked.
std::shared_ptr<Callback> make_callback(const std::string& name, const std::map<std::string, OptionValue>& options);

/// The same for tensor hooks.
const TensorHookInfo& find_tensor_hook(const std::string& name);
std::shared_ptr<TensorHook> make_tensor_hook(const std::string& name,
                                             const std::map<std::string, OptionValue>& options);

}  // namespace pyhooks
