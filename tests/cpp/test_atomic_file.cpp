#include <system_error>

#include "check.h"
#include "compare.h"
#include "files/atomic_file.h"
#include "scratch.h"

using namespace pyhooks;

using Names = std::vector<std::string>;

TEST(atomic_file_shows_the_old_file_until_it_is_committed) {
  const Scratch folder;
  write_bytes(folder / "a", "old");
  AtomicFile file(folder / "a");
  file.write("new ", 4);
  file.write("text", 4);
  CHECK(bytes_of(folder / "a") == "old");
  file.commit();
  CHECK(bytes_of(folder / "a") == "new text");
  CHECK(folder.files() == Names{"a"});
}

TEST(atomic_file_that_is_not_committed_leaves_nothing) {
  const Scratch folder;
  write_bytes(folder / "a", "old");
  AtomicFile(folder / "a").write("half", 4);
  CHECK(bytes_of(folder / "a") == "old");
  CHECK(folder.files() == Names{"a"});
}

TEST(atomic_file_makes_folders) {
  const Scratch folder;
  AtomicFile file(folder / "b/c/d");
  file.commit();
  CHECK(std::filesystem::is_regular_file(folder / "b/c/d"));
}

TEST(atomic_file_names_what_cannot_be_replaced) {
  const Scratch folder;
  std::filesystem::create_directories(folder / "taken/inside");
  AtomicFile file(folder / "taken");
  try {
    file.commit();
    CHECK(false);
  } catch (const std::system_error& error) {
    CHECK(says(error.what(), {"cannot replace", "/taken"}));
  }
}
