#pragma once

#include <cstdint>
#include <string_view>
#include <version>

#include "pyhooks/version.h"

// What a compiled library and the core that loads it must agree on before either trusts the other. A plugin's author
// needs none of this: plugin.h includes it.

extern "C" {

/// What a library says of itself. Plain C, and this layout stays for good: a later pyhooks may add fields at the end,
/// which `size` tells.
struct pyhooks_library {
  std::uint32_t size;            ///< of this struct, in bytes
  std::uint32_t abi;             ///< PYHOOKS_ABI_VERSION
  const char* torch;             ///< version of the torch headers it uses, "" if it uses none
  const char* standard_library;  ///< whose std::string and std::vector it uses
  const void* classes;           ///< the first pyhooks::detail::Entry; what lies there is for `abi` to say
};

/// The one symbol that a loader asks a library for.
const pyhooks_library* pyhooks_plugin();
}

#if defined(_LIBCPP_VERSION)
#define PYHOOKS_STANDARD_LIBRARY "libc++"
#elif defined(_GLIBCXX_DEBUG)
#define PYHOOKS_STANDARD_LIBRARY "libstdc++ with _GLIBCXX_DEBUG"
#elif defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
#define PYHOOKS_STANDARD_LIBRARY "libstdc++ with _GLIBCXX_USE_CXX11_ABI=0"
#else
#define PYHOOKS_STANDARD_LIBRARY "libstdc++"
#endif

namespace pyhooks {

struct ClassInfo;

// Hidden: each library has its own list, whatever else the process has loaded. Filling it, which happens when the
// library is loaded and so before anybody could ask it for its version, touches nothing but this plain data.
#pragma GCC visibility push(hidden)
namespace detail {

/// This library's header; its list of classes grows as its sources' registrations are constructed.
inline constinit pyhooks_library this_library{sizeof(pyhooks_library), PYHOOKS_ABI_VERSION, "",
                                              PYHOOKS_STANDARD_LIBRARY, nullptr};

/// A class in its library's list. Static: one for each registration macro.
struct Entry {
  Entry(const char* torch, ClassInfo (*describe)())
      : describe(describe), next(static_cast<const Entry*>(this_library.classes)) {
    this_library.classes = this;
    if (*torch) this_library.torch = torch;
  }

  ClassInfo (*describe)();
  const Entry* next;
};

/// Stands before the version of torch in a library that uses torch: it can be found in the file, if the library cannot
/// be loaded.
#define PYHOOKS_TORCH_MARK "pyhooks plugin for torch "

/// The version that `marked` ends with if a source includes headers of torch, else "". `text`: what its preprocessor
/// makes of C10_EXPORT, which all of them define.
consteval const char* torch_used(std::string_view text, const char* marked) {
  return text == "C10_EXPORT" ? "" : marked + sizeof(PYHOOKS_TORCH_MARK) - 1;
}

}  // namespace detail
#pragma GCC visibility pop

}  // namespace pyhooks

extern "C" [[gnu::visibility("default"), gnu::used]] inline const pyhooks_library* pyhooks_plugin() {
  return &pyhooks::detail::this_library;
}

#define PYHOOKS_TEXT_(...) #__VA_ARGS__
#define PYHOOKS_TEXT(...) PYHOOKS_TEXT_(__VA_ARGS__)
#define PYHOOKS_PASTE_(a, b) a##b
#define PYHOOKS_PASTE(a, b) PYHOOKS_PASTE_(a, b)

/// Puts a class into the library's list; what follows makes its ClassInfo. The registration macros end in this.
#define PYHOOKS_REGISTER(...)                                                                            \
  [[maybe_unused]] static const ::pyhooks::detail::Entry PYHOOKS_PASTE(pyhooks_class_, __COUNTER__)(     \
      ::pyhooks::detail::torch_used(PYHOOKS_TEXT(C10_EXPORT), PYHOOKS_TORCH_MARK PYHOOKS_TORCH_VERSION), \
      []() -> ::pyhooks::ClassInfo { return __VA_ARGS__; })
