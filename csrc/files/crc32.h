#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pyhooks {

/// The CRC-32 of zlib, gzip and PNG. `seed`: the checksum of what came before; 0 at the beginning.
std::uint32_t crc32(const void* data, std::size_t bytes, std::uint32_t seed = 0);

inline std::uint32_t crc32(std::string_view text, std::uint32_t seed = 0) {
  return crc32(text.data(), text.size(), seed);
}

}  // namespace pyhooks
