#include <cstdio>
#include <string_view>

#include "check.h"
#include "core/registry.h"

namespace {

/// Runs one test; prints why it failed.
bool passes(const check::Test& test) {
  try {
    test.run();
    return true;
  } catch (const std::exception& error) {
    std::printf("FAILED %s\n  %s\n", test.name, error.what());
  } catch (...) {
    std::printf("FAILED %s\n  threw something that is no std::exception\n", test.name);
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view part = argc > 1 ? argv[1] : "";
  pyhooks::register_own_classes();
  int passed = 0;
  int failed = 0;
  for (const check::Test& test : check::tests()) {
    if (std::string_view(test.name).find(part) == std::string_view::npos) continue;
    ++(passes(test) ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
