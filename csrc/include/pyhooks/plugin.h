#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "pyhooks/callback.h"
#include "pyhooks/library.h"
#include "pyhooks/options.h"

namespace pyhooks {

/// What there is to know of a class whose objects are made by name.
struct ClassInfo {
  std::string kind;        ///< what its objects are: "callback"
  std::string name;        ///< registry name, as "grad_clip"; of a plugin's class "my_hooks/noise_scale"
  std::string class_name;  ///< the class as C++ calls it, without namespaces
  std::string help;
  std::vector<OptionSpec> options;
  EventMask events = 0;  ///< those that a callback overrides
  /// Makes an object. It points to the kind's base class: Callback.
  std::shared_ptr<void> (*make)(const Options&) = nullptr;
};

#pragma GCC visibility push(hidden)
namespace detail {

template <class Base, class T>
std::shared_ptr<void> make(const Options& options) {
  static_assert(
      std::is_constructible_v<T, const Options&> || std::is_default_constructible_v<T>,
      "a registered class has a public constructor that takes const pyhooks::Options&, or one without arguments");
  std::shared_ptr<Base> made;
  if constexpr (std::is_constructible_v<T, const Options&>)
    made = std::make_shared<T>(options);
  else
    made = std::make_shared<T>();
  return made;
}

template <class T>
ClassInfo callback_info(std::string name, std::string class_name, std::string help, std::vector<OptionSpec> options) {
  return {"callback",         std::move(name),        std::move(class_name), std::move(help),
          std::move(options), overridden_events<T>(), &make<Callback, T>};
}

}  // namespace detail
#pragma GCC visibility pop

}  // namespace pyhooks

/// Registers a callback class under a name: the last line of a callback's file. `Class` has a public constructor that
/// takes `const pyhooks::Options&`, or one without arguments. What follows `help` are its options, each as
/// `{"beta", "float", 0.9, "decay of the mean"}`: name, type, default, help.
///
///     PYHOOKS_CALLBACK(Target, "target", "Stops training when the loss is small.",
///                      {"loss", "float", 0.01, "stop below this"});
#define PYHOOKS_CALLBACK(Class, name, help, ...) \
  PYHOOKS_REGISTER(::pyhooks::detail::callback_info<Class>(name, #Class, help, {__VA_ARGS__}))
