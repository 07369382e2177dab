#include <ATen/ops/equal.h>

#include "check.h"
#include "compare.h"
#include "files/checkpoint_file.h"
#include "line_fit.h"
#include "scratch.h"

using namespace pyhooks;
using line_fit::AtEpochEnd;
using line_fit::Model;

namespace {

const FitOptions kFit{.val = line_fit::data(4), .epochs = 5, .batch_size = 4, .seed = 3};

FitOptions fit_for(std::int64_t epochs, const std::filesystem::path& save_dir = {}) {
  FitOptions options = kFit;
  options.epochs = epochs;
  options.save_dir = save_dir;
  return options;
}

/// Counts batches, in what a checkpoint keeps; and shows what it was given back.
struct Counter final : Callback {
  std::int64_t count = 0;
  std::vector<double> list;
  at::Tensor tensor;

  void state(State& state) override {
    state.field("count", count);
    state.field("list", list);
    state.field("tensor", tensor);
  }
  void on_train_start(Context&) override {
    count = 0;
    list = {};
    tensor = floats({0});
  }
  void on_train_batch_end(BatchContext& ctx) override {
    ++count;
    list.push_back(ctx.loss());
    tensor.add_(1);
  }
};

struct Run {
  Model model;
  Trainer trainer{model.options()};
  std::shared_ptr<Counter> counter = std::make_shared<Counter>();

  Run() { trainer.add(counter, "counter"); }
  Result fit(const FitOptions& options) { return trainer.fit(line_fit::data(), options); }
};

void check_same(const Run& a, const Run& b) {
  const NamedTensors& ours = a.trainer.state();
  for (std::size_t i = 0; i < ours.size(); ++i) CHECK(at::equal(ours[i].second, b.trainer.state()[i].second));
  CHECK(a.counter->count == b.counter->count && a.counter->list == b.counter->list);
  CHECK(at::equal(a.counter->tensor, b.counter->tensor));
}

std::string refused(Run& run, const std::filesystem::path& path) {
  const at::Tensor before = run.model.weight.detach().clone();
  try {
    run.trainer.load_checkpoint(path);
    return "";
  } catch (const std::invalid_argument& error) {
    CHECK(at::equal(run.model.weight, before));
    return error.what();
  }
}

/// The file with another meta.
void change(const std::filesystem::path& path, const std::string& name, Json value) {
  Checkpoint checkpoint = read_checkpoint(path);
  Json::Object meta = checkpoint.meta.object();
  for (auto& [key, old] : meta)
    if (key == name) old = value;
  write_checkpoint(path, {checkpoint.tensors, meta});
}

}  // namespace

TEST(trainer_resumes_to_the_same_bits) {
  const Scratch folder;
  Run whole;
  const Result wanted = whole.fit(fit_for(5));
  Run part;
  part.fit(fit_for(2, folder / "run"));
  Run resumed;
  CHECK(resumed.trainer.load_checkpoint(folder / "run/last.safetensors").empty());
  const Result result = resumed.fit(fit_for(5));
  CHECK(result.epochs_run == 3);
  CHECK(result.history == wanted.history);
  check_same(resumed, whole);
  const auto again = resumed.fit(fit_for(5));  // the fit after the next starts anew
  CHECK(again.epochs_run == 5);
}

TEST(trainer_resumes_from_a_save_after_an_interrupted_epoch) {
  const Scratch folder;
  Run whole;
  whole.fit(fit_for(3));
  Run broken;
  broken.fit(fit_for(2));
  broken.trainer.save(folder / "a");
  Run resumed;
  resumed.trainer.load_checkpoint(folder / "a");
  resumed.fit(fit_for(3));
  check_same(resumed, whole);
}

TEST(trainer_keeps_the_best_epoch) {
  const Scratch folder;
  Run run;
  std::vector<double> losses;
  run.trainer.add(std::make_shared<AtEpochEnd>([&](Context& ctx) {
    double loss = 0;
    CHECK(ctx.metric("val/loss", loss));
    losses.push_back(loss);
  }));
  run.fit(fit_for(4, folder / "run"));
  const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin();
  CHECK(read_checkpoint(folder / "run/best.safetensors").meta.at("epochs_done").integer() == best + 1);
  CHECK(read_checkpoint(folder / "run/last.safetensors").meta.at("best_epoch").integer() == best);
}

TEST(trainer_writes_what_callbacks_ask_for) {
  const Scratch folder;
  Run run;
  run.trainer.add(std::make_shared<line_fit::AtBatchEnd>([](BatchContext& ctx) {
                    if (ctx.epoch() == 1 && ctx.batch() == 0) ctx.request_save("odd batch");
                  }),
                  "curious");
  std::vector<std::string> told;
  FitOptions options = fit_for(2);
  options.warn = [&](const std::string& text) { told.push_back(text); };
  run.fit(options);
  CHECK(told.size() == 1 && says(told[0], {"curious: odd batch", "no save_dir"}));
  options.save_dir = folder / "run";
  run.fit(options);
  const Json meta = read_checkpoint(folder / "run/epoch2_step6.safetensors").meta;
  CHECK(meta.at("asked_for") == Json(Json::Array{"curious: odd batch"}));
}

TEST(trainer_refuses_checkpoints_of_another_trainer) {
  const Scratch folder;
  const auto path = folder / "a";
  Run run;
  CHECK_THROWS(run.trainer.save(path), std::logic_error);
  run.fit(fit_for(1));
  run.trainer.save(path);

  Model other;
  other.weight = line_fit::waves({2, 4}, 1).set_requires_grad(true);
  Trainer wider(other.options());
  wider.add(std::make_shared<Counter>(), "counter");
  try {
    wider.load_checkpoint(path);
    CHECK(false);
  } catch (const std::invalid_argument& error) {
    CHECK(says(error.what(), {"model.weight is [2, 3] in the checkpoint and [2, 4] here"}));
  }
  Trainer without(other.options());
  other.weight = run.model.weight;
  CHECK_THROWS(without.load_checkpoint(path), std::invalid_argument);

  change(path, "epochs_done", std::int64_t{7});
  Run late;
  late.trainer.load_checkpoint(path);
  try {
    late.fit(fit_for(5));
    CHECK(false);
  } catch (const std::invalid_argument& error) {
    CHECK(says(error.what(), {"after epoch 7", "5 epochs in all"}));
  }
}

TEST(trainer_refuses_what_it_has_no_counterpart_for) {
  const Scratch folder;
  const auto path = folder / "a";
  Run run;
  run.fit(fit_for(1));
  run.trainer.save(path);
  change(path, "native", Json::Array{Json::Object{{"key", "EMA"}, {"state", Json::Object()}}});
  CHECK(says(refused(run, path), {"'EMA'", "this trainer has: counter", "add it before"}));
  const auto kinds = [](const char* optimizer, Json scheduler) {
    return Json::Object{{"callbacks", Json::Array{"EarlyStopping"}},
                        {"optimizer", optimizer},
                        {"parameter groups", Json::Array{"2 tensors"}},
                        {"scheduler", std::move(scheduler)}};
  };
  change(path, "native", Json::Array());
  change(path, "kinds", kinds("SGD", {}));
  CHECK(says(refused(run, path), {"optimizer \"SGD\"", "\"Adam\""}));
  change(path, "kinds", kinds("Adam", "StepLR"));
  CHECK(says(refused(run, path), {"scheduler \"StepLR\"", "null"}));
  change(path, "kinds", kinds("Adam", {}));
  CHECK(refused(run, path).empty());
}

TEST(trainer_tells_which_python_callbacks_stay_behind) {
  const Scratch folder;
  const auto path = folder / "a";
  Run run;
  run.fit(fit_for(1));
  run.trainer.save(path);
  Checkpoint checkpoint = read_checkpoint(path);
  Json::Object meta = checkpoint.meta.object();
  meta.emplace_back("callbacks", Json::Array{Json::Object{{"kind", "EarlyStopping"}, {"state", Json()}}});
  write_checkpoint(path, {checkpoint.tensors, meta});
  CHECK(run.trainer.load_checkpoint(path) == std::vector<std::string>{"EarlyStopping"});
}

TEST(trainer_reads_and_writes_tensor_files) {
  const Scratch folder;
  save_tensors(folder / "a", {{"x", floats({1, 2, 3, 4}, {2, 2}).t()}});
  CHECK(values<float>(load_tensors(folder / "a").at("x")) == std::vector<float>{1, 3, 2, 4});
}
