#pragma once
// A host for contexts where there is no loop: answers with what its fields say.

#include <ATen/core/Tensor.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pyhooks/context.h"

class FakeHost final : public pyhooks::Host {
 public:
  pyhooks::Progress now;
  double loss_value = 0.5;
  bool updates = true;
  std::vector<at::Tensor> grads;
  std::vector<std::string> stops;
  std::vector<std::pair<std::string, double>> logged;

  const pyhooks::Progress& progress() const override { return now; }
  double loss() override { return loss_value; }
  bool will_update() const override { return updates; }
  std::size_t num_groups() const override { return 0; }
  double lr(std::size_t) const override { throw std::out_of_range("no groups"); }
  void set_lr(double, std::size_t) override { throw std::out_of_range("no groups"); }
  std::size_t num_params() const override { return grads.size(); }
  std::string_view param_name(std::size_t) const override { return "w"; }
  at::Tensor& param(std::size_t i) override { return grads.at(i); }
  at::Tensor& grad(std::size_t i) override { return grads.at(i); }
  std::size_t num_inputs() const override { return 0; }
  const at::Tensor& input(std::size_t i) const override { return grads.at(i); }
  std::size_t num_outputs() const override { return 0; }
  const at::Tensor& output(std::size_t i) const override { return grads.at(i); }
  void request_stop(std::string_view reason) override { stops.emplace_back(reason); }
  void log(std::string_view name, double value) override { logged.emplace_back(name, value); }
  bool metric(std::string_view, double&) const override { return false; }
};
