#pragma once

#include <cstddef>
#include <filesystem>

namespace pyhooks {

/// Replaces a file all at once: what is written goes to a temporary name beside it, which `commit` syncs and renames.
/// A reader, or a crash, sees the old file or the new one, never a half. Missing folders are made.
/// Throws std::system_error naming the file.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  /// Removes the temporary file if it was not committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int handle_ = -1;
};

}  // namespace pyhooks
