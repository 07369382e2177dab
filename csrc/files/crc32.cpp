#include "files/crc32.h"

#include <array>
#include <bit>
#include <cstring>

namespace pyhooks {

namespace {

static_assert(std::endian::native == std::endian::little, "eight bytes at a time are read as one number");

using Table = std::array<std::uint32_t, 256>;

// tables[k][b]: the checksum of byte b followed by k zero bytes, so that eight bytes take eight independent look-ups
// (Kounavis and Berry, "A systematic approach to building high performance software-based CRC generators", 2005).
constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t sum = byte;
    for (int i = 0; i < 8; ++i) sum = (sum >> 1) ^ (sum & 1 ? 0xEDB88320U : 0U);
    tables[0][byte] = sum;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  return tables;
}

constexpr std::array<Table, 8> kTables = make_tables();

}  // namespace

std::uint32_t crc32(const void* data, std::size_t bytes, std::uint32_t seed) {
  const auto* next = static_cast<const unsigned char*>(data);
  std::uint32_t sum = ~seed;
  for (; bytes >= 8; bytes -= 8, next += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, next, 8);
    word ^= sum;
    sum = 0;
    for (std::size_t i = 0; i < 8; ++i) sum ^= kTables[7 - i][(word >> (8 * i)) & 0xFF];
  }
  for (; bytes > 0; --bytes) sum = (sum >> 8) ^ kTables[0][(sum ^ *next++) & 0xFF];
  return ~sum;
}

}  // namespace pyhooks
