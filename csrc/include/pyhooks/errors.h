#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace pyhooks {

/// What `Trainer::fit` throws when a step, a data source or a callback threw. The message says what was thrown and where;
/// the exception itself is nested in this one: std::rethrow_if_nested(error) throws it.
class TrainingError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;

  std::string callback;     ///< the label of the callback that threw; empty if none did
  std::string event;        ///< at which event that was
  std::int64_t epoch = 0;   ///< counted from 0
  std::int64_t batch = -1;  ///< counted from 0; -1 between the batches
};

/// What `Trainer::fit` throws after Ctrl-C: the batch in hand was finished, on_interrupt, on_exception and teardown have
/// been called.
class Interrupted : public TrainingError {
 public:
  using TrainingError::TrainingError;
};

/// A checkpoint or an exported step could not be written or read: the file is missing, damaged, or of another kind.
class CheckpointError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace pyhooks
