#include "triggers/names.h"

#include <array>
#include <utility>

namespace pyhooks::triggers {

namespace {

constexpr std::array<std::pair<std::string_view, BuiltIn>, 11> kBuiltIns{{
    {"loss", BuiltIn::loss},
    {"lr", BuiltIn::lr},
    {"grad_norm", BuiltIn::grad_norm},
    {"step", BuiltIn::step},
    {"epoch", BuiltIn::epoch},
    {"epochs", BuiltIn::epochs},
    {"batch", BuiltIn::batch},
    {"batches", BuiltIn::batches},
    {"samples", BuiltIn::samples},
    {"samples_seen", BuiltIn::samples_seen},
    {"seconds", BuiltIn::seconds},
}};

}  // namespace

std::optional<BuiltIn> find_built_in(std::string_view name) {
  for (const auto& [other, built_in] : kBuiltIns)
    if (other == name) return built_in;
  return std::nullopt;
}

std::vector<std::string> built_in_names() {
  std::vector<std::string> names;
  for (const auto& [name, built_in] : kBuiltIns) names.emplace_back(name);
  return names;
}

double logged_or_computed_grad_norm(BatchContext& context) {
  double value = 0;
  return context.logged("grad_norm", value) ? value : grad_norm(context);
}

}  // namespace pyhooks::triggers
