#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pyhooks::triggers {

enum class ActionKind : std::uint8_t { stop, skip_step, save, snapshot, scale_lr, log, call };

/// What a trigger does when it fires.
struct Action {
  ActionKind kind;
  double factor = 1;        ///< scale_lr
  std::string column = {};  ///< log; "" for the expression itself
};

/// Actions from text: "skip_step", "scale_lr(0.5), log(spikes)". Throws TriggerError where there is none, or an unknown
/// one, or one with a wrong argument.
std::vector<Action> parse_actions(const std::string& text);

}  // namespace pyhooks::triggers
