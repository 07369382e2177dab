#pragma once

// For programs that load plugins; what it declares is in libpyhooks, see trainer.h.

#include <stdexcept>
#include <string>
#include <vector>

#include "pyhooks/plugin.h"

namespace pyhooks {

/// A library that is no plugin, or not one for this pyhooks; the message says what to do.
class PluginError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A loaded plugin.
struct Plugin {
  std::string name;   ///< stands before its classes' registry names: "my_hooks/noise_scale"
  std::string path;   ///< the library, absolute
  std::string torch;  ///< the version of torch it was compiled with; "" if it needs none
  std::vector<const ClassInfo*> classes;
};

/// Loads a library and registers its classes. What it was built for is checked first: PluginError if that is another
/// pyhooks ABI, torch or C++ library, or if it is no plugin. The same library twice gives the same classes.
///
/// A library is never unloaded: objects of its classes, and what is registered of them, live on its code.
///
/// `name`: default the file's, without "lib" and suffix.
///
/// Example:
///
///     trainer.add(pyhooks::load_plugin("build/libmy_hooks.so"), "NoiseScale", {{"beta", 0.9}});
const Plugin& load_plugin(const std::string& path, std::string name = "");

}  // namespace pyhooks
