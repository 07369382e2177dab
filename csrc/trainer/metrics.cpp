#include <ATen/ops/argmax.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/ne.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>

#include <stdexcept>

#include "pyhooks/step.h"

namespace pyhooks {

namespace {

constexpr std::int64_t kIgnoredClass = -100;

at::Tensor hits_and_rows(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& batch) {
  if (outputs.empty() || outputs[0].dim() < 2 || batch.back().is_floating_point())
    throw std::invalid_argument(
        "accuracy wants the step's first output as [N, C, ...] and the batch's last tensor as class numbers [N, ...]");
  const at::Tensor& targets = batch.back();
  const at::Tensor hits = at::eq(at::argmax(outputs[0], 1), targets);
  return at::stack({at::sum(hits), at::sum(at::ne(targets, kIgnoredClass))}).to(at::kFloat);
}

}  // namespace

Metric accuracy() { return {"accuracy", hits_and_rows}; }

}  // namespace pyhooks
