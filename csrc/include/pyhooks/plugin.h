#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pyhooks/callback.h"
#include "pyhooks/options.h"
#include "pyhooks/version.h"

namespace pyhooks {

/// What the registry knows of a native callback class.
struct CallbackInfo {
  std::string name;  ///< registry name, as "grad_clip"
  std::string help;
  std::vector<OptionSpec> options;
  EventMask events = 0;
  std::function<std::shared_ptr<Callback>(const Options&)> make;
};

/// The registered callback classes. One list for the whole process.
inline std::vector<CallbackInfo>& callback_infos() {
  static std::vector<CallbackInfo> infos;
  return infos;
}

namespace detail {
template <class T>
bool register_callback(std::string name, std::string help, std::vector<OptionSpec> options) {
  callback_infos().push_back({std::move(name), std::move(help), std::move(options), overridden_events<T>(),
                              [](const Options& given) { return std::make_shared<T>(given); }});
  return true;
}
}  // namespace detail

}  // namespace pyhooks

/// Registers a callback class under a name: the last line of a callback's file. `Class` is constructible from
/// `const pyhooks::Options&`; what follows `help` are its options, as `{"beta", "float", 0.9, "decay of the mean"}`.
#define PYHOOKS_CALLBACK(Class, name, help, ...)                  \
  [[maybe_unused]] static const bool pyhooks_registered_##Class = \
      ::pyhooks::detail::register_callback<Class>(name, help, std::vector<::pyhooks::OptionSpec>{__VA_ARGS__})
