#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/loop.h"
#include "core/state_map.h"
#include "data/tensor_source.h"
#include "files/checkpoint_file.h"
#include "optim/fused.h"
#include "pyhooks/trainer.h"

namespace pyhooks {

/// What a Trainer is made of, however it was made.
struct TrainerParts {
  NamedTensors parameters;  ///< trained, each once
  NamedTensors buffers;     ///< each once
  NamedTensors state;       ///< all that a checkpoint holds of the model, by the names it has there: "model.fc.weight"
  std::shared_ptr<StepEngine> engine;
  std::function<void(bool)> set_training;
  std::vector<std::string> metrics;
  std::int64_t accumulate = 1;
  std::optional<double> clip_norm;
  std::optional<double> clip_value;
  std::string fitness;
  std::string optimizer_name;   ///< "adamw"
  std::string optimizer_class;  ///< of torch.optim
  std::shared_ptr<FusedOptimizer> optimizer;

  std::shared_ptr<Dispatcher> dispatcher = std::make_shared<Dispatcher>();
  std::unique_ptr<Loop> loop;                       ///< of the fit that runs, or ran last
  std::shared_ptr<TensorSource> batches;            ///< its training data
  std::map<std::string, StateMap> callback_states;  ///< what callbacks get back from a checkpoint, by key
  std::optional<Checkpoint> resumes_from;           ///< what the next fit goes on from
  std::atomic<bool> running = false;
};

}  // namespace pyhooks
