#include "core/registry.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <set>
#include <stdexcept>
#include <typeinfo>

#include "core/thrown.h"

namespace pyhooks {

namespace {

const char* type_of(const OptionValue& value) { return detail::kOptionTypes[value.index()].name; }

// The value as an option of that type keeps it, if it is of that type: an int will do for a float.
bool fits(const std::string& type, OptionValue& value) {
  if (type == "float" && std::holds_alternative<std::int64_t>(value))
    value = static_cast<double>(std::get<std::int64_t>(value));
  return type == type_of(value);
}

OptionValue checked(const ClassInfo& info, const OptionSpec& spec, OptionValue value) {
  if (fits(spec.type, value)) return value;
  if (std::holds_alternative<std::monostate>(value) && std::holds_alternative<std::monostate>(spec.default_value))
    return value;
  throw std::invalid_argument(info.name + ": option '" + spec.name + "' was given " +
                              detail::with_article(type_of(value)) + "; it takes " + detail::with_article(spec.type) +
                              " (" + spec.help + ")");
}

std::string option_names(const ClassInfo& info) {
  std::string names;
  for (const OptionSpec& spec : info.options) names += (names.empty() ? "" : ", ") + spec.name;
  return names.empty() ? "none" : names;
}

bool is_identifier(const std::string& name) {
  const auto letter = [](char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), inner);
}

void check_option(const ClassInfo& info, OptionSpec& spec, std::set<std::string>& names) {
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument(info.class_name + " declares option '" + spec.name + "' " + why);
  };
  if (!is_identifier(spec.name)) refuse("by a name that cannot be a keyword argument");
  if (!names.insert(spec.name).second) refuse("twice");
  if (!std::set<std::string>{"bool", "int", "float", "str"}.contains(spec.type))
    refuse("of type '" + spec.type + "'; it must be bool, int, float or str");
  if (!std::holds_alternative<std::monostate>(spec.default_value) && !fits(spec.type, spec.default_value))
    refuse("of type " + spec.type + ", but its default is of type " + type_of(spec.default_value));
}

void check(std::vector<ClassInfo>& classes) {
  std::set<std::string> names;
  for (ClassInfo& info : classes) {
    if (!names.insert(info.kind + " '" + info.name).second)
      throw std::invalid_argument("two classes are registered as " + info.kind + " '" + info.name + "'");
    if (!names.insert(info.class_name).second)
      throw std::invalid_argument("two registered classes are called " + info.class_name);
    std::set<std::string> options;
    for (OptionSpec& spec : info.options) check_option(info, spec, options);
  }
}

// In the order of the sources: each entry was put before those there were.
std::vector<ClassInfo> described(const pyhooks_library& library) {
  std::vector<ClassInfo> classes;
  for (const auto* entry = static_cast<const detail::Entry*>(library.classes); entry; entry = entry->next) {
    classes.push_back(entry->describe());
    std::string& name = classes.back().class_name;
    name.erase(0, name.rfind(':') + 1);  // nothing, where there is no namespace: npos + 1 is 0
  }
  std::reverse(classes.begin(), classes.end());
  return classes;
}

class Registry {
 public:
  Registry() { add(described(detail::this_library), ""); }

  std::vector<const ClassInfo*> add(std::vector<ClassInfo> classes, const std::string& plugin) {
    check(classes);
    const std::lock_guard lock(mutex_);
    std::vector<const ClassInfo*> added;
    for (ClassInfo& info : classes) {
      if (!plugin.empty()) info.name = plugin + "/" + info.name;
      added.push_back(&classes_.emplace_back(std::move(info)));
    }
    return added;
  }

  std::vector<const ClassInfo*> of(const std::string& kind) const {
    const std::lock_guard lock(mutex_);
    std::vector<const ClassInfo*> found;
    for (const ClassInfo& info : classes_)
      if (info.kind == kind) found.push_back(&info);
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<ClassInfo> classes_;  // grows at its end only: what lies in it does not move
};

Registry& registry() {
  static Registry& all = *new Registry;  // not destroyed at exit: other threads may still ask
  return all;
}

// In a handler: throws the error on with the class's name in front. A type of the author's own keeps what it says.
template <class Error>
[[noreturn]] void rethrow_named(const ClassInfo& info, const Error& error) {
  const std::string what = error.what();
  if (typeid(error) != typeid(Error) || what.starts_with(info.class_name)) throw;
  throw Error(info.class_name + ": " + what);
}

std::shared_ptr<void> made(const ClassInfo& info, const std::map<std::string, OptionValue>& given) {
  const Options options = checked_options(info, given);
  try {
    return info.make(options);
  } catch (const std::invalid_argument& error) {
    rethrow_named(info, error);
  } catch (const std::out_of_range& error) {
    rethrow_named(info, error);
  } catch (const std::runtime_error& error) {
    rethrow_named(info, error);
  } catch (const std::exception&) {
    throw;
  } catch (...) {
    throw std::runtime_error(info.class_name + ": " + thrown_type());
  }
}

}  // namespace

std::vector<const ClassInfo*> registered_classes(const std::string& kind) { return registry().of(kind); }

const ClassInfo& find_class(const std::string& kind, const std::string& name) {
  const std::vector<const ClassInfo*> classes = registry().of(kind);
  const auto found =
      std::find_if(classes.rbegin(), classes.rend(), [&](const ClassInfo* info) { return info->name == name; });
  if (found != classes.rend()) return **found;
  std::string known;
  for (const ClassInfo* info : classes) known += (known.empty() ? "" : ", ") + info->name;
  throw std::invalid_argument("no native " + (kind == "tensor_hook" ? "tensor hook" : kind) + " '" + name +
                              "'; there are: " + known);
}

std::vector<const ClassInfo*> register_classes(const pyhooks_library& library, const std::string& plugin) {
  return registry().add(described(library), plugin);
}

Options checked_options(const ClassInfo& info, const std::map<std::string, OptionValue>& options) {
  std::map<std::string, OptionValue> values;
  for (const OptionSpec& spec : info.options) {
    auto given = options.find(spec.name);
    values[spec.name] = given == options.end() ? spec.default_value : checked(info, spec, given->second);
  }
  for (const auto& [key, value] : options)
    if (!values.contains(key))
      throw std::invalid_argument(info.name + " has no option '" + key + "'; its options: " + option_names(info));
  return Options(std::move(values));
}

std::shared_ptr<Callback> make_callback(const ClassInfo& info, const std::map<std::string, OptionValue>& options) {
  return std::static_pointer_cast<Callback>(made(info, options));
}

std::shared_ptr<Callback> make_callback(const std::string& name, const std::map<std::string, OptionValue>& options) {
  return make_callback(find_callback(name), options);
}

std::shared_ptr<TensorHook> make_tensor_hook(const ClassInfo& info, const std::map<std::string, OptionValue>& options) {
  return std::static_pointer_cast<TensorHook>(made(info, options));
}

std::shared_ptr<TensorHook> make_tensor_hook(const std::string& name,
                                             const std::map<std::string, OptionValue>& options) {
  return make_tensor_hook(find_tensor_hook(name), options);
}

}  // namespace pyhooks
