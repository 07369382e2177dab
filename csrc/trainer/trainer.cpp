#include "pyhooks/trainer.h"

#include <stdexcept>

#include "core/registry.h"
#include "trainer/fit.h"
#include "trainer/options.h"
#include "trainer/resume.h"

namespace pyhooks {

namespace {

ErrorPolicy policy_of(const std::string& name) {
  if (name == "raise") return ErrorPolicy::raise;
  if (name == "warn") return ErrorPolicy::warn;
  if (name == "disable") return ErrorPolicy::disable;
  throw std::invalid_argument("on_error is '" + name + "'; it must be one of raise, warn, disable");
}

NamedCallback named(const ClassInfo& info, const OptionValues& options) {
  return {make_callback(info, options), info.events, info.class_name};
}

}  // namespace

NamedCallback make(const std::string& name, const OptionValues& options) { return named(find_callback(name), options); }

NamedCallback make(const Plugin& plugin, const std::string& class_name, const OptionValues& options) {
  std::string known;
  for (const ClassInfo* info : plugin.classes) {
    if (info->kind == "callback" && info->class_name == class_name) return named(*info, options);
    known += (known.empty() ? "" : ", ") + info->class_name;
  }
  throw std::invalid_argument("the plugin " + plugin.name + " has no callback '" + class_name + "'; it has: " + known);
}

double Result::metric(std::string_view name) const {
  if (const double* value = find_metric(metrics, name)) return *value;
  std::string known;
  for (const auto& [key, value] : metrics) known += (known.empty() ? "" : ", ") + key;
  throw std::out_of_range("no metric '" + std::string(name) + "' in this epoch; there are: " + known);
}

Trainer::Trainer(TrainerOptions options) : parts_(make_parts(std::move(options))) {}
Trainer::Trainer(std::unique_ptr<TrainerParts> parts) : parts_(std::move(parts)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

Result Trainer::fit(const std::vector<at::Tensor>& train, const FitOptions& options) {
  if (parts_->running) throw std::logic_error("this trainer is training already: make another one to train inside it");
  Fit fit(*parts_, train, options);
  const struct Running {
    explicit Running(std::atomic<bool>& flag) : flag(flag) { flag = true; }
    ~Running() { flag = false; }
    std::atomic<bool>& flag;
  } running(parts_->running);
  return fit.run();
}

std::uint64_t Trainer::add(const NamedCallback& callback, const Rules& rules) {
  if (!callback.callback) throw std::invalid_argument("Trainer::add got no callback");
  const Filter filter{.every = rules.every,
                      .once = rules.once,
                      .after = rules.after,
                      .before = rules.before,
                      .seconds = rules.seconds,
                      .samples = rules.samples};
  Manner manner{
      .priority = rules.priority, .on_error = policy_of(rules.on_error), .budget = rules.budget, .key = rules.id};
  return parts_->dispatcher->add(callback.callback, callback.events, filter, callback.label, true, std::move(manner));
}

bool Trainer::remove(std::uint64_t registration) { return parts_->dispatcher->remove(registration); }

void Trainer::request_stop(const std::string& reason) {
  if (!parts_->running) throw std::logic_error("a stop was asked for outside of fit(): there is no training to stop");
  parts_->loop->vote_from_outside(reason);
}

void Trainer::save(const std::string& path) const { write_checkpoint(path, take_checkpoint(*parts_)); }

std::vector<std::string> Trainer::load_checkpoint(const std::string& path) {
  if (parts_->running) throw std::logic_error("load_checkpoint was called while fit() runs: call it before fit()");
  return pyhooks::load_checkpoint(*parts_, read_checkpoint(path));
}

std::map<std::string, at::Tensor> load_tensors(const std::string& path) { return read_safetensors(path).tensors; }

void save_tensors(const std::string& path, const std::map<std::string, at::Tensor>& tensors) {
  TensorFile file;
  for (const auto& [name, tensor] : tensors) file.tensors[name] = plain_tensor(name, tensor);
  write_safetensors(path, file);
}

const NamedTensors& Trainer::parameters() const { return parts_->parameters; }
const NamedTensors& Trainer::state() const { return parts_->state; }

std::vector<double> Trainer::column(std::string_view name) const {
  return parts_->loop ? parts_->loop->recorder().column(name) : std::vector<double>();
}

std::vector<MemorySnapshot> Trainer::snapshots() const {
  if (!parts_->loop) return {};
  const std::deque<MemorySnapshot>& taken = parts_->loop->snapshots();
  return {taken.begin(), taken.end()};
}

}  // namespace pyhooks
