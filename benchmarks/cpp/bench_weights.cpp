// Times callbacks that go through all weights or gradients of a ResNet-18, beside the one operation of torch that each of
// them cannot do without. Prints milliseconds as JSON: {"ema": [one number a round, ...], ...}.
//
//   pyhooks_bench_weights [rounds]        rounds of all figures take turns, so that a busy machine slows all of them
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/dispatcher.h"
#include "core/loop.h"
#include "core/registry.h"

namespace {

using namespace pyhooks;

constexpr int kCalls = 10;

/// The shapes of a ResNet-18's 62 parameters and of its batch norms' buffers.
struct ResNet {
  std::vector<at::Tensor> params;
  std::vector<at::Tensor> buffers;

  ResNet() {
    convolution(64, 3, 7);
    for (const int width : {64, 128, 256, 512})
      for (int block = 0; block < 2; ++block) {
        const bool narrows = width > 64 && block == 0;
        convolution(width, narrows ? width / 2 : width, 3);
        convolution(width, width, 3);
        if (narrows) convolution(width, width / 2, 1);
      }
    params.push_back(at::randn({1000, 512}));
    params.push_back(at::randn({1000}));
  }

 private:
  void convolution(int to, int from, int size) {
    params.push_back(at::randn({to, from, size, size}));
    for (int i = 0; i < 2; ++i) {
      params.push_back(at::randn({to}));
      buffers.push_back(at::rand({to}));
    }
    buffers.push_back(at::zeros({}, at::kLong));
  }
};

/// A loop that stands still, with one callback listening.
struct Bench {
  explicit Bench(const std::string& name, const std::map<std::string, OptionValue>& options, const ResNet& net) {
    loop.config.params = net.params;
    loop.config.buffers = net.buffers;
    for (std::size_t i = 0; i < net.params.size(); ++i) {
      loop.config.param_names.push_back("p" + std::to_string(i));
      loop.grad(i) = at::randn(net.params[i].sizes());
    }
    for (std::size_t i = 0; i < net.buffers.size(); ++i) loop.config.buffer_names.push_back("b" + std::to_string(i));
    dispatcher->add(make_callback(name, options), find_callback(name).events, {}, name);
    dispatcher->fire<Event::on_train_start>(context);
  }

  std::shared_ptr<Dispatcher> dispatcher = std::make_shared<Dispatcher>();
  Loop loop{dispatcher};
  BatchContext context{loop};
};

struct Figure {
  const char* name;
  std::function<void()> run;
  std::vector<double> rounds;

  void measure() {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) run();
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    rounds.push_back(elapsed.count() / kCalls);
  }
};

void print(const std::vector<Figure>& figures) {
  const char* between = "{";
  for (const Figure& figure : figures) {
    std::printf("%s\"%s\": [", between, figure.name);
    for (std::size_t i = 0; i < figure.rounds.size(); ++i) std::printf("%s%.5f", i ? ", " : "", figure.rounds[i]);
    std::printf("]");
    between = ", ";
  }
  std::printf("}\n");
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
  at::set_num_threads(1);
  at::NoGradGuard no_grad;
  const ResNet net;
  const ResNet average;
  Bench ema("ema", {{"decay", 0.999}}, net);
  Bench norm("grad_norm", {{"after_clipping", true}}, net);
  std::vector<at::Tensor> grads;
  for (std::size_t i = 0; i < net.params.size(); ++i) grads.push_back(norm.loop.grad(i));

  std::vector<Figure> figures;
  figures.push_back({"ema", [&] { ema.dispatcher->fire<Event::on_params_update>(ema.context); }, {}});
  figures.push_back({"lerp", [&] { at::_foreach_lerp_(average.params, net.params, 0.001); }, {}});
  figures.push_back({"grad_norm",
                     [&] {
                       norm.dispatcher->fire<Event::optimizer_step>(norm.context);
                       norm.dispatcher->fire<Event::on_before_zero_grad>(norm.context);
                     },
                     {}});
  figures.push_back({"norm", [&] { at::_foreach_norm(grads, 2.0); }, {}});
  for (Figure& figure : figures) figure.run();  // warm up
  for (int round = 0; round < rounds; ++round)
    for (Figure& figure : figures) figure.measure();
  print(figures);
}
