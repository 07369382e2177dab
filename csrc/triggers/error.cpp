#include "triggers/error.h"

#include <algorithm>
#include <numeric>

namespace pyhooks::triggers {

namespace {

constexpr std::string_view kIndent = "\n    ";

// Blanks as wide as the text: tabs stay tabs, and the later bytes of a UTF-8 character take no room.
std::string blanks(std::string_view text) {
  std::string result;
  for (const char c : text)
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) result += c == '\t' ? '\t' : ' ';
  return result;
}

std::string marked(std::string_view text, std::size_t position) {
  position = std::min(position, text.size());
  const std::string_view before = text.substr(0, position);
  const std::size_t begin = before.rfind('\n') + 1;  // npos + 1 is 0
  const std::string_view line = text.substr(begin, text.find('\n', position) - begin);
  return std::string(kIndent) + std::string(line) + std::string(kIndent) + blanks(before.substr(begin)) + "^";
}

// The number of letters to insert, delete or replace (Levenshtein, 1966).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

TriggerError::TriggerError(const std::string& message, std::string_view text, std::size_t position)
    : std::invalid_argument(message + marked(text, position)) {}

std::string known(std::string_view name, std::string_view what, const std::vector<std::string>& candidates) {
  const auto far = [&](const std::string& other) { return distance(name, other); };
  const auto nearest = std::min_element(candidates.begin(), candidates.end(),
                                        [&](const auto& a, const auto& b) { return far(a) < far(b); });
  const bool near = nearest != candidates.end() && far(*nearest) <= std::max<std::size_t>(1, name.size() / 3);
  return "; " + (near ? "did you mean '" + *nearest + "'? " : "") + std::string(what) + ": " + joined(candidates);
}

std::string joined(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : ", ") + word;
  return result;
}

}  // namespace pyhooks::triggers
