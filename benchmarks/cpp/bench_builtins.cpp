// Times built-in callbacks on tensors shaped as a ResNet-18's beside the one torch call they cannot do without, and
// prints nanoseconds a batch as JSON.
//
//   pyhooks_bench_builtins [rounds]        rounds of all take turns, so that a busy machine slows all of them
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/rand.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bare_loop.h"
#include "core/registry.h"
#include "timing.h"

namespace {

using namespace pyhooks;

constexpr int kBatches = 12;

using Shapes = std::vector<std::vector<std::int64_t>>;

void add_conv(Shapes& shapes, std::int64_t c_in, std::int64_t c_out, std::int64_t kernel) {
  shapes.insert(shapes.end(), {{c_out, c_in, kernel, kernel}, {c_out}, {c_out}});  // batch norm's two come with it
}

/// Of the parameters of models.py's resnet18: 62 tensors, 11 million numbers.
Shapes resnet18() {
  Shapes shapes;
  add_conv(shapes, 3, 64, 7);
  std::int64_t c_in = 64;
  for (const std::int64_t c_out : {64, 128, 256, 512}) {
    for (int block = 0; block < 2; ++block) {
      add_conv(shapes, block == 0 ? c_in : c_out, c_out, 3);
      add_conv(shapes, c_out, c_out, 3);
      if (block == 0 && c_in != c_out) add_conv(shapes, c_in, c_out, 1);
    }
    c_in = c_out;
  }
  shapes.insert(shapes.end(), {{10, 512}, {10}});
  return shapes;
}

std::vector<at::Tensor> random_tensors() {
  std::vector<at::Tensor> tensors;
  for (const auto& shape : resnet18()) tensors.push_back(at::rand(shape));
  return tensors;
}

/// What an average of the parameters takes at the least.
class ForeachLerp final : public Callback {
 public:
  explicit ForeachLerp(std::vector<at::Tensor> params) : params_(std::move(params)), average_(random_tensors()) {}
  void on_params_update(BatchContext&) override { at::_foreach_lerp_(average_, params_, 0.001); }

 private:
  std::vector<at::Tensor> params_;
  std::vector<at::Tensor> average_;
};

/// What the gradients' norm takes at the least.
class ForeachNorm final : public Callback {
 public:
  explicit ForeachNorm(std::vector<at::Tensor> grads) : grads_(std::move(grads)) {}
  void on_backward_end(BatchContext&) override { at::_foreach_norm(grads_, 2); }

 private:
  std::vector<at::Tensor> grads_;
};

/// A training of which nothing is left but this callback, and the some hundred nanoseconds of the loop.
bench::Contestant training(std::string name, std::shared_ptr<Callback> callback, EventMask events,
                           const std::vector<at::Tensor>& params, const std::vector<at::Tensor>& grads) {
  auto dispatcher = std::make_shared<Dispatcher>();
  dispatcher->add(std::move(callback), events, {}, name);
  return {std::move(name), [=] { return bench::ns_a_batch(dispatcher, kBatches, params, grads); }};
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<at::Tensor> params = random_tensors();
  const std::vector<at::Tensor> grads = random_tensors();
  std::vector<bench::Contestant> contestants;
  for (const char* name : {"ema", "grad_norm"})
    contestants.push_back(training(name, make_callback(name, {}), find_callback(name).events, params, grads));
  contestants.push_back(training("_foreach_lerp_", std::make_shared<ForeachLerp>(params),
                                 overridden_events<ForeachLerp>(), params, grads));
  contestants.push_back(
      training("_foreach_norm", std::make_shared<ForeachNorm>(grads), overridden_events<ForeachNorm>(), params, grads));
  bench::run(std::move(contestants), argc > 1 ? std::atoi(argv[1]) : 7);
}
