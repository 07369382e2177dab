#include "check.h"
#include "files/crc32.h"

using namespace pyhooks;

TEST(crc32_gives_the_published_check_values) {
  CHECK(crc32("") == 0);
  CHECK(crc32("123456789") == 0xCBF43926);
  CHECK(crc32("The quick brown fox jumps over the lazy dog") == 0x414FA339);
}

TEST(crc32_goes_on_from_any_place) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += static_cast<char>(i * 37);
  const std::uint32_t whole = crc32(text);
  for (std::size_t i = 0; i <= text.size(); ++i)
    CHECK(crc32(std::string_view(text).substr(i), crc32(std::string_view(text).substr(0, i))) == whole);
}
