#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pyhooks/plugin.h"

namespace pyhooks {

class TensorHook;

/// The classes that objects can be made of by name: the core's own, then those of plugins in the order they were loaded.
/// They stay for as long as the process runs: so may references to them. Any thread may ask.

/// The registered classes of one kind.
std::vector<const ClassInfo*> registered_classes(const std::string& kind);

/// The registered class of that kind and name, the newest if a plugin was loaded again; throws std::invalid_argument
/// naming the registered ones.
const ClassInfo& find_class(const std::string& kind, const std::string& name);

/// Registers the classes of a library whose header has been checked. Their names get "plugin/" in front, if it is not
/// empty. Throws std::invalid_argument, and registers none, if one is declared wrongly: two of one name, an option of a
/// type that there is not, or with a default that is not of its type.
std::vector<const ClassInfo*> register_classes(const pyhooks_library& library, const std::string& plugin);

/// Registers the classes of the program (or library) that calls this, under their plain names; once, whoever calls.
[[gnu::visibility("hidden")]] inline void register_own_classes() {
  [[maybe_unused]] static const auto registered = register_classes(detail::this_library, "");
}

/// Checks options against what a class declares: an unknown name or a value of another type throws std::invalid_argument
/// saying what is wanted; ints are taken for floats; what is not given gets its default.
Options checked_options(const ClassInfo& info, const std::map<std::string, OptionValue>& options);

/// The registered callback class of that name.
inline const ClassInfo& find_callback(const std::string& name) { return find_class("callback", name); }

/// Makes a callback; throws as find_class and checked_options do, and what the constructor throws, with the class's name in
/// front of a std::invalid_argument, std::out_of_range or std::runtime_error that does not begin with it.
std::shared_ptr<Callback> make_callback(const ClassInfo& info, const std::map<std::string, OptionValue>& options);
std::shared_ptr<Callback> make_callback(const std::string& name, const std::map<std::string, OptionValue>& options);

/// The registered tensor hook class of that name, and one made of it.
inline const ClassInfo& find_tensor_hook(const std::string& name) { return find_class("tensor_hook", name); }
std::shared_ptr<TensorHook> make_tensor_hook(const ClassInfo& info, const std::map<std::string, OptionValue>& options);
std::shared_ptr<TensorHook> make_tensor_hook(const std::string& name,
                                             const std::map<std::string, OptionValue>& options);

}  // namespace pyhooks
