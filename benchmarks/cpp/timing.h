#pragma once
// What the benchmarks' programs share: samples in turns, medians, JSON.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

inline double nanoseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::nano>(duration).count();
}

/// The value at a share of the sorted ones: 0.5 for the median, 0.99 for the 99th percentile.
inline double quantile(std::vector<double> values, double share) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// Nanoseconds a call, the median over chunks: each is shorter than what the system's scheduler gives at once, so that
/// another process on the core spoils few of them.
template <class Call>
double ns_a_call(Call&& call, int calls) {
  constexpr int chunks = 101;
  std::vector<double> means;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) {
      call();
      asm volatile("" ::: "memory");  // each call is made, none is merged with the next
    }
    means.push_back(nanoseconds(Clock::now() - start) / calls);
  }
  return quantile(std::move(means), 0.5);
}

/// Something to time. `measure` returns one round's value.
struct Contestant {
  std::string name;
  std::function<double()> measure;
  std::vector<double> rounds = {};
};

/// Lets all measure themselves once to warm up, then in turns; prints {"name": [one number a round, ...], ...}.
inline void run(std::vector<Contestant> contestants, int rounds) {
  for (Contestant& contestant : contestants) contestant.measure();
  for (int round = 0; round < rounds; ++round)
    for (Contestant& contestant : contestants) contestant.rounds.push_back(contestant.measure());
  const char* before = "{";
  for (const Contestant& contestant : contestants) {
    std::printf("%s\"%s\": [", before, contestant.name.c_str());
    for (std::size_t i = 0; i < contestant.rounds.size(); ++i)
      std::printf("%s%.4f", i ? ", " : "", contestant.rounds[i]);
    std::printf("]");
    before = ", ";
  }
  std::printf("}\n");
}

}  // namespace bench
