#pragma once

#include "trainer/parts.h"

namespace pyhooks {

/// The file that pyhooks/resume.py writes and reads, for a trainer in C++.

/// What a checkpoint holds of a trainer after, or at the end of an epoch within, a fit. Tensors are the real ones, not
/// copies. `asked_for`: why callbacks wanted it, if they did. Throws std::logic_error before the first fit.
Checkpoint take_checkpoint(const TrainerParts& parts, const std::vector<std::string>& asked_for = {});

/// Loads model and optimizer; the rest waits in `parts.resumes_from` for the next fit. See Trainer::load_checkpoint.
std::vector<std::string> load_checkpoint(TrainerParts& parts, Checkpoint checkpoint);

/// Sets a run's counters, books and random numbers from `parts.resumes_from`, just before it starts.
void resume(TrainerParts& parts);

}  // namespace pyhooks
