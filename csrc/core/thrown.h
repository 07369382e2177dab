#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace pyhooks {

/// A name as the linker knows it, as C++ writes it; itself where it is none of C++'s.
inline std::string demangled(const char* name) {
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, nullptr), std::free);
  return text ? text.get() : name;
}

/// In a handler of an exception that is no std::exception: what was thrown.
inline std::string thrown_type() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  return "an object of type " + (type ? demangled(type->name()) : "unknown") +
         " was thrown, which is no std::exception: throw std::runtime_error(message) or the like";
}

}  // namespace pyhooks
