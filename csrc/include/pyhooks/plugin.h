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

// What the macros assert: they know the class's name. What is below them says nothing more of a class that is wrong.

template <class Base, class T>
inline constexpr bool derives = std::is_convertible_v<T*, Base*>;

template <class T>
inline constexpr bool makeable = std::is_constructible_v<T, const Options&> || std::is_default_constructible_v<T>;

template <class T>
constexpr bool listens() {
  if constexpr (derives<Callback, T>) return overridden_events<T>() != 0;
  return true;
}

template <class Base, class T>
std::shared_ptr<void> make(const Options& options) {
  std::shared_ptr<Base> made;
  if constexpr (std::is_constructible_v<T, const Options&>)
    made = std::make_shared<T>(options);
  else if constexpr (std::is_default_constructible_v<T>)
    made = std::make_shared<T>();
  return made;
}

template <class T>
ClassInfo callback_info(std::string name, std::string class_name, std::string help, std::vector<OptionSpec> options) {
  if constexpr (derives<Callback, T>)
    return {"callback",         std::move(name),        std::move(class_name), std::move(help),
            std::move(options), overridden_events<T>(), &make<Callback, T>};
  return {};
}

}  // namespace detail
#pragma GCC visibility pop

}  // namespace pyhooks

/// What must be true of a class that is registered. Registration macros start with this, and it with `namespace`, so that
/// a semicolon missing after the class is told at the class.
#define PYHOOKS_CHECK_CLASS(Class, Base, base)                                                       \
  namespace {}                                                                                       \
  static_assert(::pyhooks::detail::derives<Base, Class>, #Class " must derive publicly from " base); \
  static_assert(::pyhooks::detail::makeable<Class>, #Class                                           \
                " needs a public constructor that takes const pyhooks::Options&, or one without "    \
                "arguments, and no pure virtual method left")

/// Registers a callback class under a name: the last line of a callback's file. `Class` has a public constructor that
/// takes `const pyhooks::Options&`, or one without arguments. What follows `help` are its options, each as
/// `{"beta", "float", 0.9, "decay of the mean"}`: name, type, default, help.
///
///     PYHOOKS_CALLBACK(Target, "target", "Stops training when the loss is small.",
///                      {"loss", "float", 0.01, "stop below this"});
#define PYHOOKS_CALLBACK(Class, name, help, ...)                                                         \
  PYHOOKS_CHECK_CLASS(Class, ::pyhooks::Callback, "pyhooks::Callback");                                  \
  static_assert(::pyhooks::detail::listens<Class>(), #Class                                              \
                " overrides no event, so it would never be called. Is an event's name misspelt? Write "  \
                "override after each event method, and the compiler names the misspelt one; the events " \
                "are in pyhooks/callback.h");                                                            \
  PYHOOKS_REGISTER(::pyhooks::detail::callback_info<Class>(name, #Class, help, {__VA_ARGS__}))
