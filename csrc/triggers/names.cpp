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

// Somebody may have computed it already, for the history.
double logged_or_computed_grad_norm(BatchContext& context) {
  double value = 0;
  return context.logged("grad_norm", value) ? value : grad_norm(context);
}

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

double read(BuiltIn name, BatchContext& context) {
  switch (name) {
    case BuiltIn::loss:
      return context.loss();
    case BuiltIn::lr:
      return context.lr();
    case BuiltIn::grad_norm:
      return logged_or_computed_grad_norm(context);
    case BuiltIn::seconds:
      return context.seconds();
    case BuiltIn::step:
      return static_cast<double>(context.global_step());
    case BuiltIn::epoch:
      return static_cast<double>(context.epoch());
    case BuiltIn::epochs:
      return static_cast<double>(context.epochs());
    case BuiltIn::batch:
      return static_cast<double>(context.batch());
    case BuiltIn::batches:
      return static_cast<double>(context.batches());
    case BuiltIn::samples:
      return static_cast<double>(context.samples());
    case BuiltIn::samples_seen:
      return static_cast<double>(context.samples_seen());
  }
  return 0;
}

}  // namespace pyhooks::triggers
