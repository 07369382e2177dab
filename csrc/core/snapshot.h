#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace pyhooks {

/// What other threads may see of a running training.
struct Peek {
  std::int64_t epoch = 0;
  std::int64_t epochs = 0;
  std::int64_t batch = 0;    ///< batches done in this epoch, or in this validation
  std::int64_t batches = 0;  ///< of how many; -1 if unknown
  std::int64_t global_step = 0;
  double loss = 0;
  double seconds = 0;          ///< since this epoch's (or validation's) first batch began
  std::int64_t training = -1;  ///< 1 in training batches, 0 in validation, -1 between
};

/// One writer, any readers, no locks: a seqlock over words (Boehm, "Can seqlocks get along with programming language
/// memory models?", 2012). A write costs a few plain stores; a reader tries again if a write came between.
template <class T>
class Seqlock {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(std::uint64_t) == 0);
  static constexpr std::size_t kWords = sizeof(T) / sizeof(std::uint64_t);

 public:
  void store(const T& value) {
    const auto words = std::bit_cast<std::array<std::uint64_t, kWords>>(value);
    const std::uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (std::size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_relaxed);
    version_.store(version + 2, std::memory_order_release);
  }

  T load() const {
    std::array<std::uint64_t, kWords> words;
    for (;;) {
      const std::uint64_t before = version_.load(std::memory_order_acquire);
      for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);
      if (before % 2 == 0 && before == version_.load(std::memory_order_relaxed)) break;
    }
    return std::bit_cast<T>(words);
  }

 private:
  std::atomic<std::uint64_t> version_{0};
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace pyhooks
