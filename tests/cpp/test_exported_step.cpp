#include "check.h"
#include "compare.h"
#include "files/checkpoint_file.h"
#include "pyhooks/trainer.h"
#include "scratch.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

/// loss = sum(w * x), whose gradient is x: batches of two rows, stepped by SGD with the learning rate 0.5.
const std::string kMeta = R"({
  "step_format": 1, "torch": "2.13.0", "parameters": {"w": "parameter.w"}, "buffers": {}, "strides": {},
  "state": {"model.w": "parameter.w"}, "metrics": [], "accumulate": 1, "clip_norm": null, "clip_value": null,
  "fitness": null,
  "optimizer": {"name": "sgd", "class": "SGD", "groups": [{"params": [0], "options": {"lr": 0.5, "momentum": 0.0,
    "weight_decay": 0, "dampening": 0, "nesterov": false, "maximize": false}}]},
  "plans": [{"mode": "train", "batch": [{"dtype": "float32", "shape": [2]}], "fixed": ["parameter.w"], "n_stats": 0,
    "n_outputs": 0, "draws_random": false, "program": {"n_inputs": 2, "n_registers": 5, "constants": [],
      "outputs": [3, 4], "ops": [
        {"name": "aten::mul", "overload": "Tensor", "args": [{"reg": 0}, {"reg": 1}], "kwargs": {}, "outs": [2],
         "source": ""},
        {"name": "aten::sum", "overload": "", "args": [{"reg": 2}], "kwargs": {"dtype": {"dtype": "float32"}},
         "outs": [3], "source": ""},
        {"name": "aten::clone", "overload": "", "args": [{"reg": 1}],
         "kwargs": {"memory_format": {"memory_format": "contiguous_format"}}, "outs": [4], "source": ""}]}}]
})";

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  const std::size_t at = text.find(part);
  CHECK(at != std::string::npos);
  return text.replace(at, part.size(), by);
}

Trainer load(const Scratch& folder, const std::string& meta) {
  write_checkpoint(folder / "step", {{{"parameter.w", floats({1, 2})}}, Json::parse(meta)});
  return load_step(folder / "step");
}

std::string why_not(const std::string& part, const std::string& by) {
  const Scratch folder;
  try {
    load(folder, replaced(kMeta, part, by));
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

TEST(exported_step_is_loaded_and_trained) {
  const Scratch folder;
  Trainer trainer = load(folder, kMeta);
  const Result result = trainer.fit({floats({1, 3, 1, 3})}, {.epochs = 1, .batch_size = 2, .shuffle = false});
  CHECK(result.metric("train/loss") == (7 + (0.5 + 0.5 * 3)) / 2);
  CHECK(values<float>(trainer.parameters()[0].second) == std::vector<float>{0, -1});
  trainer.save(folder / "checkpoint");
  CHECK(values<float>(load_tensors(folder / "checkpoint").at("model.w")) == std::vector<float>{0, -1});
}

TEST(exported_step_names_the_batches_it_was_made_for) {
  const Scratch folder;
  Trainer trainer = load(folder, kMeta);
  try {
    trainer.fit({floats({1, 3, 1})}, {.batch_size = 2});
    CHECK(false);
  } catch (const TrainingError& error) {
    CHECK(says(error.what(), {"no plan to train", "(float32[1])", "it has: (float32[2])", "batch 1"}));
  }
  try {
    trainer.fit({floats({1, 3})}, {.val = {floats({1, 3})}, .batch_size = 2});
    CHECK(false);
  } catch (const TrainingError& error) {
    CHECK(says(error.what(), {"no plan to eval", "it has: none"}));
  }
}

TEST(exported_step_that_cannot_be_used_says_why) {
  CHECK(why_not("aten::sum", "aten::sum").empty());
  CHECK(says(why_not("aten::sum", "aten::some"), {"exported with torch 2.13.0", "cannot prepare aten::some"}));
  CHECK(says(why_not("\"dtype\": \"float32\"}}", "\"dtype\": \"float9\"}}"), {"'float9'", "does not know"}));
  CHECK(says(why_not("contiguous_format\"", "odd_format\""), {"'odd_format'"}));
  CHECK(says(why_not("\"nesterov\"", "\"nestor\""), {"'nestor'", "does not know"}));
  CHECK(says(why_not("\"sgd\"", "\"lion\""), {"'lion'"}));
  CHECK(says(why_not("\"step_format\": 1", "\"step_format\": 2"), {"step format 2", "upgrade pyhooks"}));
  CHECK(says(why_not("\"step_format\": 1", "\"epochs_done\": 1"), {"is a checkpoint, not a step"}));
}
