#pragma once
// A host for contexts where there is no loop: answers with what its fields say.

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pyhooks/context.h"

class FakeHost final : public pyhooks::Host {
 public:
  pyhooks::Progress now;
  double clock = 0;  ///< seconds
  double loss_value = 0.5;
  bool updates = true;
  bool skips = false;
  bool acts = true;  ///< what filters say
  std::vector<double> rates;
  std::vector<at::Tensor> params;
  std::vector<at::Tensor> grads;
  std::vector<at::Tensor> buffers;
  std::vector<at::Tensor> optimizer_tensors;
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> outputs;
  std::vector<std::string> stops;
  std::vector<std::string> saves;
  std::vector<std::string> snapshots;
  std::vector<std::pair<std::string, double>> logs;
  pyhooks::StepTimes times;

  const pyhooks::Progress& progress() const override { return now; }
  double seconds() const override { return clock; }
  double loss() override { return loss_value; }
  bool will_update() const override { return updates; }
  void skip_step() override { skips = true; }
  bool skipping() const override { return skips; }
  std::size_t num_groups() const override { return rates.size(); }
  double lr(std::size_t group) const override { return rates.at(group); }
  void set_lr(double value, std::size_t group) override { rates.at(group) = value; }
  void scale_lr(double factor) override {
    for (double& rate : rates) rate *= factor;
  }
  std::size_t num_params() const override { return grads.size(); }
  std::string_view param_name(std::size_t i) const override { return names_.at(i); }
  at::Tensor& param(std::size_t i) override { return params.at(i); }
  at::Tensor& grad(std::size_t i) override { return grads.at(i); }
  std::size_t num_buffers() const override { return buffers.size(); }
  std::string_view buffer_name(std::size_t i) const override { return buffer_names_.at(i); }
  at::Tensor& buffer(std::size_t i) override { return buffers.at(i); }
  std::size_t num_optimizer_tensors() override { return optimizer_tensors.size(); }
  at::Tensor& optimizer_tensor(std::size_t i) override { return optimizer_tensors.at(i); }
  std::size_t num_inputs() const override { return inputs.size(); }
  const at::Tensor& input(std::size_t i) const override { return inputs.at(i); }
  std::size_t num_outputs() const override { return outputs.size(); }
  const at::Tensor& output(std::size_t i) const override { return outputs.at(i); }
  void request_stop(std::string_view reason) override { stops.emplace_back(reason); }
  void request_save(std::string_view reason) override { saves.emplace_back(reason); }
  void snapshot(std::string_view reason) override { snapshots.emplace_back(reason); }
  void log(std::string_view name, double value) override { logs.emplace_back(name, value); }
  bool logged(std::string_view name, double& value) const override {
    for (const auto& [key, number] : logs)
      if (key == name) value = number;
    return std::any_of(logs.begin(), logs.end(), [&](const auto& entry) { return entry.first == name; });
  }
  bool metric(std::string_view, double&) const override { return false; }
  std::vector<std::string> log_names() const override {
    std::vector<std::string> names;
    for (const auto& entry : logs) names.push_back(entry.first);
    return names;
  }
  void time_steps(bool) override {}
  const pyhooks::StepTimes& step_times() const override { return times; }
  std::uint64_t add_callback(std::shared_ptr<pyhooks::Callback>, pyhooks::EventMask, std::string_view,
                             std::int64_t) override {
    throw std::logic_error("there is no dispatcher here");
  }
  bool remove_callback(std::uint64_t) override { return false; }
  std::uint64_t current_callback() const override { return 0; }
  bool may_act() override { return acts; }

 private:
  std::vector<std::string> names_{"w", "b", "w2", "b2"};
  std::vector<std::string> buffer_names_{"mean", "variance"};
};
