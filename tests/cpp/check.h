#pragma once
// A small test harness. A file of tests includes this and writes
//
//   TEST(sum_is_right) {
//     CHECK(1 + 1 == 2);
//     CHECK_THROWS(std::stoi("x"), std::invalid_argument);
//   }
//
// main.cpp has the main function. `pyhooks_tests part` runs the tests with "part" in their names.

#include <c10/util/Logging.h>  // has a CHECK of its own, which ours replaces

#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*run)();
};

/// Thrown by a check that does not hold; ends the test.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// All tests of the program, in the order of their files.
inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
  std::ostringstream message;
  message << file << ":" << line << ": " << what;
  throw Failure(message.str());
}

}  // namespace check

#define TEST(name)                                                   \
  static void test_##name();                                         \
  static const check::Register register_##name(#name, &test_##name); \
  static void test_##name()

#undef CHECK
/// The expression must be true.
#define CHECK(...) ((__VA_ARGS__) ? void() : check::fail(__FILE__, __LINE__, "CHECK(" #__VA_ARGS__ ")"))

/// The statement must throw the named type (or one derived from it). Anything else it throws fails the test by itself.
#define CHECK_THROWS(statement, type)                                                                  \
  do {                                                                                                 \
    bool thrown = false;                                                                               \
    try {                                                                                              \
      static_cast<void>(statement);                                                                    \
    } catch (const type&) {                                                                            \
      thrown = true;                                                                                   \
    }                                                                                                  \
    if (!thrown) check::fail(__FILE__, __LINE__, "CHECK_THROWS(" #statement ", " #type "): no throw"); \
  } while (false)
