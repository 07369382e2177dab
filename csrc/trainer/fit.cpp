#include "trainer/fit.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <iostream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "core/thrown.h"
#include "data/prefetch.h"
#include "trainer/checkpoint_saver.h"
#include "trainer/interrupt.h"
#include "trainer/resume.h"

namespace pyhooks {

namespace {

/// Batches of at least so many bytes are gathered by a thread of their own, if a core is free for it.
constexpr std::int64_t kPrefetchBytes = 1 << 18;

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("fit: " + why); }

void check_rows(const std::vector<at::Tensor>& tensors, const std::string& what) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::string name = what + "[" + std::to_string(i) + "]";
    if (!tensors[i].defined() || tensors[i].dim() == 0) refuse(name + " has no rows; wanted one row a sample");
    if (tensors[i].size(0) != tensors[0].size(0))
      refuse(name + " has " + std::to_string(tensors[i].size(0)) + " rows, " + what + "[0] has " +
             std::to_string(tensors[0].size(0)) + "; they must have the same number");
  }
}

std::shared_ptr<BatchSource> prefetched(std::shared_ptr<TensorSource> source) {
  const bool free_core = static_cast<int>(std::thread::hardware_concurrency()) > at::get_num_threads();
  if (source->batch_bytes() < kPrefetchBytes || !free_core) return source;
  return std::make_shared<Prefetch>(std::move(source), [] { return true; });
}

void seed_default_generator(std::uint64_t seed) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  generator.set_current_seed(seed);
}

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const c10::Error& torch) {
    return torch.what_without_backtrace();
  } catch (const std::exception& other) {
    return other.what();
  } catch (...) {
    return thrown_type();
  }
}

bool is_interrupt(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Interrupted&) {
    return true;
  } catch (...) {
    return false;
  }
}

void split(const NamedTensors& named, std::vector<std::string>& names, std::vector<at::Tensor>& tensors) {
  for (const auto& [name, tensor] : named) {
    names.push_back(name);
    tensors.push_back(tensor);
  }
}

std::string stop_reason(const std::vector<StopVote>& votes) {
  std::string text;
  for (const StopVote& vote : votes) {
    text += (text.empty() ? "" : "; ") + vote.who + ": " + vote.reason + " [epoch " + std::to_string(vote.epoch);
    text += (vote.batch < 0 ? "" : ", batch " + std::to_string(vote.batch)) + "]";
  }
  return text;
}

}  // namespace

Fit::Fit(TrainerParts& parts, const std::vector<at::Tensor>& train, const FitOptions& options)
    : parts_(parts), options_(options) {
  if (options.epochs < 1 || options.batch_size < 1) refuse("epochs and batch_size must be at least 1");
  if (train.empty()) refuse("no training data is given");
  check_rows(train, "train");
  check_rows(options.val, "val");
  if (options.batch_size > train[0].size(0))
    refuse("batch_size is " + std::to_string(options.batch_size) + ", but train has only " +
           std::to_string(train[0].size(0)) + " rows");
  parts.batches = std::make_shared<TensorSource>(train, TensorSource::Config{.batch_size = options.batch_size,
                                                                             .shuffle = options.shuffle,
                                                                             .drop_last = options.drop_last,
                                                                             .seed = options.seed});
  std::shared_ptr<BatchSource> val;
  if (!options.val.empty())
    val = prefetched(std::make_shared<TensorSource>(
        options.val, TensorSource::Config{.batch_size = options.batch_size, .quiet = true}));
  prepare(std::move(val));
}

void Fit::prepare(std::shared_ptr<BatchSource> val) {
  parts_.loop = std::make_unique<Loop>(parts_.dispatcher);
  LoopConfig& config = parts_.loop->config;
  config.epochs = options_.epochs;
  config.accumulate = parts_.accumulate;
  config.clip_norm = parts_.clip_norm;
  config.clip_value = parts_.clip_value;
  config.fitness = fitness();
  split(parts_.parameters, config.param_names, config.params);
  split(parts_.buffers, config.buffer_names, config.buffers);
  for (const std::string& name : parts_.metrics)
    config.metrics.push_back({name, [](const std::vector<double>& sums) { return sums.at(0) / sums.at(1); }});
  config.engine = parts_.engine;
  config.optimizer = parts_.optimizer;
  config.train = prefetched(parts_.batches);
  config.val = std::move(val);
  set_hooks(config.hooks);
}

void Fit::set_hooks(LoopHooks& hooks) {
  hooks.check_signals = [] { throw Interrupted("interrupted by Ctrl-C"); };
  hooks.is_interrupt = is_interrupt;
  hooks.started = [this] { load_callbacks(); };
  hooks.save = [this](const std::vector<std::string>& reasons) { save_on_request(reasons); };
  hooks.on_error = [this](const std::exception_ptr& error) { note_error(error); };
  hooks.on_secondary_error = [this](const std::exception_ptr& error) {
    warn("while training was ending with an exception, another was thrown: " + message_of(error));
  };
}

std::string Fit::fitness() const {
  const bool validates = !options_.val.empty();
  if (parts_.fitness.empty()) return validates ? "-val/loss" : "-train/loss";
  std::set<std::string> known;
  for (const char* part : {"train/", "val/"}) {
    if (part[0] == 'v' && !validates) continue;
    known.insert(std::string(part) + "loss");
    for (const std::string& name : parts_.metrics) known.insert(part + name);
  }
  for (std::size_t i = 0; i < parts_.optimizer->groups(); ++i) known.insert("lr/pg" + std::to_string(i));
  for (const auto& registration : parts_.dispatcher->registrations())
    for (const std::string& name : registration->callback->logs()) known.insert(name);
  if (known.contains(parts_.fitness.substr(parts_.fitness.starts_with('-') ? 1 : 0))) return parts_.fitness;
  std::string names;
  for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
  refuse("fitness is '" + parts_.fitness + "', which this run will not produce; it will produce " + names);
}

Result Fit::run() {
  if (options_.seed) seed_default_generator(*options_.seed);
  if (parts_.resumes_from) resume(parts_);
  if (parts_.set_training) parts_.set_training(true);
  std::exception_ptr error;
  try {
    run_loop();
  } catch (...) {
    error = std::current_exception();
  }
  parts_.loop->release();
  if (error) raise(error);
  return result();
}

void Fit::run_loop() {
  Dispatcher& dispatcher = *parts_.dispatcher;
  const struct Watching {  // what is the dispatcher's for the length of a run
    ~Watching() {
      dispatcher.on_notice = {};
      dispatcher.is_fatal = {};
      if (saver) dispatcher.remove(*saver);
    }
    Dispatcher& dispatcher;
    std::optional<std::uint64_t> saver;
  } watching{dispatcher,
             options_.save_dir.empty() ? std::nullopt : std::optional(add_saver(parts_, options_.save_dir))};
  dispatcher.on_notice = [this](const Notice& notice) { tell(notice); };
  dispatcher.is_fatal = is_interrupt;
  const InterruptGuard guard;
  parts_.loop->run();
}

void Fit::load_callbacks() const {
  for (const auto& registration : parts_.dispatcher->registrations())
    if (const auto found = parts_.callback_states.find(registration->manner.key); found != parts_.callback_states.end())
      load_state(*registration->callback, found->second);
  parts_.callback_states.clear();
}

void Fit::save_on_request(const std::vector<std::string>& reasons) const {
  std::string listed;
  for (const std::string& reason : reasons) listed += (listed.empty() ? "" : "; ") + reason;
  if (options_.save_dir.empty())
    return warn("a checkpoint was asked for (" + listed + "), but fit was given no save_dir to write it to");
  const Progress& progress = parts_.loop->progress();
  const std::string name =
      "epoch" + std::to_string(progress.epoch + 1) + "_step" + std::to_string(progress.global_step) + ".safetensors";
  write_checkpoint(std::filesystem::path(options_.save_dir) / name, take_checkpoint(parts_, reasons));
  parts_.loop->model_saved();
  parts_.loop->checkpoint_durable();
}

void Fit::tell(const Notice& notice) const {
  const std::string where = " (" + parts_.loop->where() + ")";
  if (!notice.error)
    return warn(notice.who.label + " takes more than its budget allows for every batch" + where +
                ": it is called less often from now on");
  warn(notice.who.label + " threw: " + message_of(notice.error) + where +
       (notice.who.alive ? "; training goes on" : "; it is not called any more"));
}

void Fit::warn(const std::string& text) const {
  if (options_.warn)
    options_.warn(text);
  else
    std::cerr << "pyhooks: " << text << std::endl;
}

void Fit::note_error(const std::exception_ptr&) {
  const Loop& loop = *parts_.loop;
  where_ = loop.where();
  place_.epoch = loop.progress().epoch;
  if (loop.peek().training >= 0) place_.batch = loop.progress().batch;
  if (const Registration* who = std::as_const(*parts_.dispatcher).current()) {
    place_.callback = who->label;
    place_.event = info(parts_.dispatcher->current_event()).name;
  }
}

void Fit::raise(const std::exception_ptr& error) const {
  const auto located = [&](auto made) {
    made.callback = place_.callback;
    made.event = place_.event;
    made.epoch = place_.epoch;
    made.batch = place_.batch;
    return made;
  };
  const std::string text = message_of(error) + " (" + (where_.empty() ? "in teardown" : where_) + ")";
  try {
    std::rethrow_exception(error);
  } catch (const Interrupted&) {
    throw located(Interrupted(text));
  } catch (...) {
    std::throw_with_nested(located(TrainingError(text)));
  }
}

Result Fit::result() const {
  const Loop& loop = *parts_.loop;
  return {loop.metrics(), loop.history(), stop_reason(loop.votes()), loop.epochs_run()};
}

}  // namespace pyhooks
