#include "pyhooks/plugin_loader.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>
#include <list>
#include <mutex>

#include "core/registry.h"

namespace pyhooks {

namespace {

constexpr const char* kHeaders = "(python -m pyhooks config --cflags, or pyhooks.load_plugin on its source)";

std::string last_error() {
  const char* error = dlerror();
  return error ? error : "unknown error";
}

std::string default_name(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  if (const std::size_t suffix = name.find(".so"); suffix != std::string::npos) name.erase(suffix);
  if (name.starts_with("lib") && name.size() > 3) name.erase(0, 3);
  return name;
}

// The header of the library itself: what it depends on may have one too.
const pyhooks_library* header_of(void* library) {
  void* entry = dlsym(library, "pyhooks_plugin");
  if (!entry) return nullptr;
  link_map* own = nullptr;
  link_map* home = nullptr;
  Dl_info info;
  dlinfo(library, RTLD_DI_LINKMAP, &own);
  dladdr1(entry, &info, reinterpret_cast<void**>(&home), RTLD_DL_LINKMAP);
  return own == home ? reinterpret_cast<const pyhooks_library* (*)()>(entry)() : nullptr;
}

[[noreturn]] void refuse(const std::string& path, const std::string& built_for, const std::string& here,
                         const std::string& remedy) {
  throw PluginError(path + " was built for " + built_for + ", this pyhooks has " + here + ". " + remedy);
}

// Nothing behind the header may be looked at before this has returned.
void check(const std::string& path, const pyhooks_library& found) {
  const pyhooks_library& own = detail::this_library;
  const std::string torch = PYHOOKS_TORCH_VERSION;
  if (found.size < sizeof(pyhooks_library) || found.abi != own.abi)
    refuse(path, "plugin ABI " + std::to_string(found.abi), "ABI " + std::to_string(own.abi),
           "Build it again with this pyhooks' headers " + std::string(kHeaders) + ", or install a pyhooks of ABI " +
               std::to_string(found.abi) + ".");
  if (*found.torch && found.torch != torch)
    refuse(path, "torch " + std::string(found.torch), "torch " + torch,
           "Build it again against torch " + torch + ", or install torch " + found.torch +
               " and a pyhooks built with it.");
  if (std::string(found.standard_library) != own.standard_library)
    refuse(path, found.standard_library, own.standard_library,
           "Build it again with this pyhooks' flags " + std::string(kHeaders) + ".");
}

// What a library of another torch lacks shows at once, before it could say of which torch it is; opened lazily it can.
void* open_library(const std::string& path) {
  if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  const std::string why = last_error();
  if (void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL))
    if (const pyhooks_library* header = header_of(library)) check(path, *header);
  throw PluginError(path + " cannot be loaded: " + why + ". This pyhooks has plugin ABI " +
                    std::to_string(PYHOOKS_ABI_VERSION) + " and torch " + PYHOOKS_TORCH_VERSION +
                    "; if the plugin is not for these, build it again " + kHeaders + ".");
}

Plugin read(void* library, const std::string& path, std::string name) {
  const pyhooks_library* header = header_of(library);
  if (!header)
    throw PluginError(path +
                      " is no pyhooks plugin: it exports no pyhooks_plugin, which a source gets by including "
                      "<pyhooks/plugin.h>.");
  check(path, *header);
  if (!header->classes)
    throw PluginError(path + " registers no class: its source ends with PYHOOKS_CALLBACK(Class, \"name\", \"help\").");
  try {
    return {name, path, header->torch, register_classes(*header, name)};
  } catch (const std::invalid_argument& wrong) {
    throw PluginError(path + ": " + wrong.what());
  }
}

struct Loaded {
  void* library;
  Plugin plugin;
};

}  // namespace

const Plugin& load_plugin(const std::string& path, std::string name) {
  static std::recursive_mutex mutex;  // a library's own initialisers may load another
  static std::list<Loaded>& all = *new std::list<Loaded>;
  const std::lock_guard lock(mutex);
  const std::string absolute = std::filesystem::absolute(path).string();  // else it would be searched for
  void* library = open_library(absolute);
  if (name.empty()) name = default_name(absolute);
  for (const Loaded& loaded : all)
    if (loaded.library == library && loaded.plugin.name == name) return loaded.plugin;
  return all.emplace_back(library, read(library, absolute, std::move(name))).plugin;
}

}  // namespace pyhooks
