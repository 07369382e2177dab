#include "files/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <random>
#include <string>
#include <system_error>
#include <utility>

namespace pyhooks {

namespace {

[[noreturn]] void fail(const char* doing, const std::filesystem::path& path) {
  throw std::system_error(errno, std::generic_category(), std::string("cannot ") + doing + " " + path.string());
}

std::filesystem::path temporary_beside(const std::filesystem::path& target) {
  char unique[32];
  std::snprintf(unique, sizeof unique, ".%d-%08x.tmp", static_cast<int>(getpid()), std::random_device()());
  std::filesystem::path hidden = target.parent_path() / ".";
  return hidden += target.filename().string() + unique;
}

void sync_folder(const std::filesystem::path& folder) {
  const int handle = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) fail("open", folder);
  const int failed = fsync(handle);
  close(handle);
  if (failed) fail("sync", folder);
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::filesystem::absolute(std::move(target))) {
  std::filesystem::create_directories(target_.parent_path());
  temporary_ = temporary_beside(target_);
  handle_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (handle_ < 0) fail("create", temporary_);
}

AtomicFile::~AtomicFile() {
  if (handle_ < 0) return;
  close(handle_);
  unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(handle_, next, bytes);
    if (written < 0 && errno != EINTR) fail("write", temporary_);
    if (written < 0) continue;
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (fsync(handle_) != 0) fail("sync", temporary_);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail("replace", target_);
  close(std::exchange(handle_, -1));
  sync_folder(target_.parent_path());
}

}  // namespace pyhooks
