// Reads JSON documents, one a line, and writes each again; or "!" and why not. For tests/fuzz/json_fuzz.py.
#include <exception>
#include <iostream>
#include <string>

#include "files/json.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << pyhooks::Json::parse(line).dump() << "\n";
    } catch (const std::exception& error) {
      std::cout << "!" << error.what() << "\n";
    }
  }
  return 0;
}
