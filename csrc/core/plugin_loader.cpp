#include "pyhooks/plugin_loader.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <list>
#include <mutex>

#include "core/registry.h"
#include "core/thrown.h"

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

void check_torch(const std::string& path, const std::string& found) {
  const std::string own = PYHOOKS_TORCH_VERSION;
  if (!found.empty() && found != own)
    refuse(path, "torch " + found, "torch " + own,
           "Build it again against torch " + own + ", or install torch " + found + " and a pyhooks built with it.");
}

// Nothing behind the header may be looked at before this has returned.
void check(const std::string& path, const pyhooks_library& found) {
  const pyhooks_library& own = detail::this_library;
  if (found.size < sizeof(pyhooks_library) || found.abi != own.abi)
    refuse(path, "plugin ABI " + std::to_string(found.abi), "ABI " + std::to_string(own.abi),
           "Build it again with this pyhooks' headers " + std::string(kHeaders) + ", or install a pyhooks of ABI " +
               std::to_string(found.abi) + ".");
  check_torch(path, found.torch);
  if (std::string(found.standard_library) != own.standard_library)
    refuse(path, found.standard_library, own.standard_library,
           "Build it again with this pyhooks' flags " + std::string(kHeaders) + ".");
}

// The torch that a library was built for, read from its file; "" if that is not to be found.
std::string torch_in_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content(std::istreambuf_iterator<char>(file), {});
  const std::string mark = PYHOOKS_TORCH_MARK;
  const std::size_t found = content.find(mark);
  return found == std::string::npos ? "" : content.c_str() + found + mark.size();
}

// "at::nowhere(int)" of the loader's "libmine.so: undefined symbol: _ZN2at7nowhereEi"; "" where it says something else.
std::string missing_symbol(const std::string& why) {
  const std::string before = "undefined symbol: ";
  const std::size_t found = why.find(before);
  if (found == std::string::npos) return "";
  const std::size_t start = found + before.size();
  return demangled(why.substr(start, why.find_first_of(", \t(", start) - start).c_str());
}

// Never lazily: an initialiser of the library that calls a function nobody has would end the process. So of a library
// that lacks one the file is asked whether it was built for another torch.
void* open_library(const std::string& path) {
  if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  const std::string why = last_error();
  if (const std::string symbol = missing_symbol(why); !symbol.empty()) {
    check_torch(path, torch_in_file(path));
    throw PluginError(
        path + " cannot be loaded: it needs " + symbol +
        ", which neither it nor a library it is linked to has. Define it in the plugin's sources, or link "
        "the library that has it: pyhooks.load_plugin(source, flags=[\"-lname\"]), or g++ ... -lname. (" +
        why + ")");
  }
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
