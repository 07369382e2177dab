#include "triggers/functions.h"

namespace pyhooks::triggers {

std::vector<std::string> function_names() {
  std::vector<std::string> names;
  for (const Function& function : kFunctions) names.emplace_back(function.name);
  return names;
}

std::string usage(std::string_view name) {
  const Function& function = *find_function(name);
  const std::string called(name);
  if (function.one == Op::every) return "write every(100) for each 100th batch";
  if (function.one) return "write " + called + "(loss)";
  return "write " + called + "(loss, 100) for the last 100 batches" +
         (function.two ? ", or " + called + "(loss, 3.0) for two values" : "");
}

}  // namespace pyhooks::triggers
