#pragma once

#include <filesystem>

#include "trainer/parts.h"

namespace pyhooks {

/// Adds a callback that writes last.safetensors to the folder after each epoch, and best.safetensors after one that was
/// the best so far. Returns its registration.
std::uint64_t add_saver(const TrainerParts& parts, const std::filesystem::path& folder);

}  // namespace pyhooks
