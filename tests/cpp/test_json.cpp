#include <cmath>

#include "check.h"
#include "compare.h"
#include "files/json.h"

using namespace pyhooks;

namespace {

std::string again(std::string_view text) { return Json::parse(text).dump(); }

std::string why_not(std::string_view text) {
  try {
    return "it was read as " + again(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

}  // namespace

TEST(json_reads_and_writes_every_kind) {
  const std::string text = R"({"a": [null, true, false, -7, 2.5, "x"], "b": {}, "c": []})";
  CHECK(again(text) == text);
  const Json json = Json::parse(text);
  const Json::Array& a = json.at("a").array();
  CHECK(a[0].is_null() && a[1].boolean() && !a[2].boolean());
  CHECK(a[3].integer() == -7 && a[3].number() == -7 && a[4].number() == 2.5);
  CHECK(a[5].string() == "x");
  CHECK(json.find("d") == nullptr);
}

TEST(json_tells_ints_and_floats_apart) {
  CHECK(Json::parse("1").is_integer());
  CHECK(Json::parse("1.0").is_float() && Json::parse("1e0").is_float());
  CHECK(Json(1.0).dump() == "1.0");
  CHECK(Json(std::int64_t{1}).dump() == "1");
  CHECK(Json(1e100).dump() == "1e+100");
}

TEST(json_keeps_every_bit_of_a_float) {
  for (double value : {0.1, -0.0, 1.0 / 3, 5e-324, 1.7976931348623157e308, 123456789012345678.0}) {
    const double read = Json::parse(Json(value).dump()).number();
    CHECK(read == value && std::signbit(read) == std::signbit(value));
  }
  CHECK(again("[NaN, Infinity, -Infinity]") == "[NaN, Infinity, -Infinity]");
}

TEST(json_reads_escapes_and_writes_few) {
  CHECK(Json::parse(R"("\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00")").string() == "\"\\/\b\f\n\r\tA\u00e9\U0001F600");
  CHECK(Json("\u00e9\U0001F600\"\\\n").dump() == "\"\u00e9\U0001F600\\\"\\\\\\u000a\"");
}

TEST(json_takes_the_last_of_two_members) { CHECK(again(R"({"a": 1, "b": 2, "a": 3})") == R"({"a": 3, "b": 2})"); }

TEST(json_says_where_a_document_is_wrong) {
  CHECK(why_not("[1,]") == "JSON: wanted a value at byte 3");
  CHECK(why_not("[1") == "JSON: wanted ] at byte 2");
  CHECK(why_not(R"({"a" 1})") == "JSON: wanted : at byte 5");
  CHECK(why_not("{1: 2}") == "JSON: wanted \" at byte 1");
  CHECK(why_not("\"a") == "JSON: wanted the string's end at byte 2");
  CHECK(why_not("\"\n\"") == "JSON: wanted the string's end at byte 1");
  CHECK(why_not("01") == "JSON: wanted the end at byte 1");
  CHECK(why_not("1.") == "JSON: wanted digits at byte 2");
  CHECK(why_not("-") == "JSON: wanted a value at byte 0");
  CHECK(why_not("") == "JSON: wanted a value at byte 0");
  CHECK(why_not(R"("\x")") == "JSON: wanted an escape at byte 2");
  CHECK(why_not(R"("\u12g4")") == "JSON: wanted four hexadecimal digits at byte 3");
}

TEST(json_refuses_what_it_cannot_hold) {
  CHECK(why_not("9223372036854775808") == "JSON: the number 9223372036854775808 does not fit into 64 bits");
  CHECK(why_not("1e999") == "JSON: the number 1e999 does not fit into 64 bits");
  CHECK(why_not(R"("\ud800")") == "JSON: wanted a pair of surrogates at byte 7");
  CHECK(why_not("\"\xC3\"") == "JSON: the text is not UTF-8");
  CHECK(why_not(std::string(1000, '[')) == "JSON: wanted fewer levels at byte 501");
  CHECK_THROWS(Json("\xFF").dump(), std::invalid_argument);
}

TEST(json_says_what_was_wanted_of_a_value) {
  try {
    static_cast<void>(Json("word").integer());
  } catch (const std::invalid_argument& error) {
    CHECK(std::string(error.what()) == "JSON: a string where an int was wanted");
  }
  CHECK_THROWS(Json().at("a"), std::invalid_argument);
  CHECK_THROWS(Json(Json::Object()).at("a"), std::invalid_argument);
  CHECK_THROWS(Json(true).number(), std::invalid_argument);
}

TEST(json_knows_utf8) {
  for (const char* good : {"", "a", "\u00e9", "\u20ac", "\U0001F600", "\x7F", "\uD7FF", "\uE000", "\U0010FFFF"})
    CHECK(is_utf8(good));
  for (const char* bad : {"\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF",
                          "\xF8\x80\x80\x80\x80", "\xE2\x82", "a\xC3z"})
    CHECK(!is_utf8(bad));
}
