#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>

#include "check.h"
#include "compare.h"
#include "core/registry.h"
#include "fake_host.h"
#include "pyhooks/plugin_loader.h"

using namespace pyhooks;

namespace {

const Plugin& loaded() { return load_plugin(PYHOOKS_TEST_PLUGIN); }

std::string refusal(const std::string& path) {
  try {
    load_plugin(path);
  } catch (const PluginError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST(plugin_has_its_classes_under_its_name) {
  const Plugin& plugin = loaded();
  CHECK(plugin.name == "pyhooks_test_plugin");
  CHECK(plugin.path == PYHOOKS_TEST_PLUGIN);
  CHECK(plugin.torch.empty());
  std::vector<std::string> names;
  for (const ClassInfo* info : plugin.classes) names.push_back(info->class_name + " " + info->name);
  std::sort(names.begin(), names.end());
  CHECK(names ==
        std::vector<std::string>{"NaNGuard pyhooks_test_plugin/nan_guard", "Scaled pyhooks_test_plugin/scaled"});
}

TEST(plugin_callback_is_made_by_name_and_called) {
  loaded();
  FakeHost host;
  BatchContext context(host);
  make_callback("pyhooks_test_plugin/scaled", {})->on_train_batch_end(context);
  make_callback("pyhooks_test_plugin/scaled", {{"factor", 4.0}})->on_train_batch_end(context);
  CHECK(host.logs == std::vector<std::pair<std::string, double>>{{"scaled", 1}, {"scaled", 2}});
}

TEST(plugin_class_called_as_a_built_in_one_is_another) {
  loaded();
  CHECK(find_callback("nan_guard").events & bit(Event::on_backward_end));
  CHECK(find_callback("pyhooks_test_plugin/nan_guard").events == bit(Event::on_train_start));
}

TEST(plugin_exceptions_keep_their_types) {
  loaded();
  CHECK_THROWS(make_callback("pyhooks_test_plugin/scaled", {{"factor", 0.0}}), std::out_of_range);
}

TEST(plugin_loaded_twice_is_the_same) {
  const std::size_t before = (loaded(), registered_classes("callback").size());
  CHECK(&loaded() == &loaded());
  CHECK(registered_classes("callback").size() == before);
}

TEST(plugin_loaded_under_another_name_is_registered_under_it) {
  const Plugin& other = load_plugin(PYHOOKS_TEST_PLUGIN, "other");
  CHECK(&other != &loaded());
  CHECK(find_callback("other/scaled").class_name == "Scaled");
  CHECK(&other == &load_plugin(PYHOOKS_TEST_PLUGIN, "other"));
}

TEST(plugin_that_is_none_says_so) {
  CHECK(says(refusal("/no/such/libplugin.so"), {"/no/such/libplugin.so", "cannot be loaded", "No such file"}));
  Dl_info libc;
  CHECK(dladdr(reinterpret_cast<void*>(&std::getenv), &libc) != 0);
  CHECK(says(refusal(libc.dli_fname), {libc.dli_fname, "is no pyhooks plugin", "<pyhooks/plugin.h>"}));
}
