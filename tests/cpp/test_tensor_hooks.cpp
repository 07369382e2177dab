// The tensor hooks that come with the library.
#include <ATen/ops/randn.h>

#include <cmath>
#include <limits>

#include "check.h"
#include "compare.h"
#include "core/registry.h"
#include "fake_host.h"
#include "pyhooks/tap.h"
#include "tensors.h"

using namespace pyhooks;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
using Options_ = std::map<std::string, OptionValue>;

/// A hook from the registry, on one tensor.
struct Made {
  explicit Made(const std::string& name, const Options_& options = {}, TapKind kind = TapKind::grad)
      : hook(make_tensor_hook(name, options)), site{"fc", kind, 0} {}

  void see(const at::Tensor& tensor) {
    TapContext tap(ctx, site, false);
    hook->see(tap, tensor);
  }
  at::Tensor replace(const at::Tensor& tensor) {
    TapContext tap(ctx, site, false);
    return hook->replace(tap, tensor);
  }
  double logged(const std::string& name) const {
    double value = -1;
    CHECK(host.logged(name, value));
    return value;
  }

  FakeHost host;
  BatchContext ctx{host};
  std::shared_ptr<TensorHook> hook;
  TapSite site;
};

std::string refusal(const std::string& name, const Options_& options) {
  try {
    make_tensor_hook(name, options);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST(tensor_stats_are_those_of_the_population) {
  Made stats("grad_stats");
  stats.see(floats({0, 3, -1, 0}));
  CHECK(stats.logged("fc/grad/mean") == 0.5);
  CHECK(std::abs(stats.logged("fc/grad/std") - 1.5) < 1e-6);
  CHECK(std::abs(stats.logged("fc/grad/norm") - std::sqrt(10.0)) < 1e-6);
  CHECK(stats.logged("fc/grad/zeros") == 0.5);
  CHECK(stats.logged("fc/grad/nonfinite") == 0);
  CHECK(stats.host.logs.size() == 5);
}

TEST(tensor_stats_of_one_value_and_of_values_that_are_none) {
  Made stats("activation_stats", {}, TapKind::output);
  stats.see(floats({2}));
  CHECK(stats.logged("fc/output/std") == 0);
  const float inf = std::numeric_limits<float>::infinity();
  stats.see(floats({inf, 0, std::nanf("")}));
  CHECK(stats.logged("fc/output/nonfinite") == 2);
  CHECK(std::isnan(stats.logged("fc/output/mean")));
}

TEST(tensor_stats_of_half_precision_are_computed_in_float) {
  Made stats("grad_stats", {{"stats", std::string("norm")}});
  stats.see(floats({300, 400}).to(at::kHalf));  // squared they are no halves
  CHECK(stats.logged("fc/grad/norm") == 500);
}

TEST(tensor_stats_of_sparse_gradients_count_the_zeros_left_out) {
  Made stats("grad_stats", {{"stats", std::string("zeros, mean")}});
  stats.see(floats({0, 0, 2, 0}).to_sparse());
  CHECK(stats.logged("fc/grad/zeros") == 0.75);
  CHECK(stats.logged("fc/grad/mean") == 0.5);
}

TEST(tensor_stats_are_chosen_by_name) {
  Made stats("grad_stats", {{"stats", std::string(" norm ,mean")}});
  CHECK(stats.hook->logs() == std::vector<std::string>{"norm", "mean"});
  CHECK(says(refusal("grad_stats", {{"stats", std::string("mean, medain")}}), {"'medain'", "mean, std, norm, zeros"}));
  CHECK(says(refusal("grad_stats", {{"stats", std::string("")}}), {"empty", "histogram"}));
}

TEST(tensor_histogram_counts_an_epoch) {
  Made stats("grad_stats", {{"stats", std::string("histogram")}, {"bins", std::int64_t{4}}, {"range", 2.0}});
  CHECK(stats.hook->logs().empty());
  stats.see(floats({-9, -2, -0.5, 0, 0.5, 1.5, 2, 9, std::nanf("")}));
  stats.see(floats({0.5}));
  const std::vector<Histogram> found = stats.hook->histograms();
  CHECK(found.size() == 1);
  CHECK(found[0].name == "fc" && found[0].low == -2 && found[0].high == 2);
  CHECK(found[0].counts == std::vector<std::int64_t>{2, 1, 3, 3});
  CHECK(stats.host.logs.empty());
  stats.hook->on_train_epoch_start(stats.ctx);
  CHECK(stats.hook->histograms()[0].counts == std::vector<std::int64_t>{0, 0, 0, 0});
  stats.hook->on_train_start(stats.ctx);
  CHECK(stats.hook->histograms().empty());
}

TEST(tensor_histogram_takes_its_range_from_the_first_tensor) {
  const Options_ options{{"stats", std::string("histogram")}, {"bins", std::int64_t{2}}};
  Made stats("grad_stats", options);
  stats.see(floats({-3, 1}));
  stats.see(floats({100}));
  CHECK(stats.hook->histograms()[0].high == 3);
  CHECK(stats.hook->histograms()[0].counts == std::vector<std::int64_t>{1, 2});
  Made zeros("grad_stats", options);
  zeros.see(floats({0, 0}));
  CHECK(zeros.hook->histograms()[0].high == 1);
}

TEST(tensor_histogram_refuses_bins_and_ranges_that_are_none) {
  CHECK(says(refusal("grad_stats", {{"bins", std::int64_t{0}}}), {"bins is 0", "at least 1"}));
  for (double range : {0.0, -1.0, kNaN, static_cast<double>(INFINITY)})
    CHECK(says(refusal("grad_stats", {{"range", range}}), {"range", "above 0"}));
}

TEST(grad_scale_multiplies) {
  Made scale("grad_scale", {{"factor", -0.5}});
  CHECK(scale.hook->replaces());
  CHECK(values<float>(scale.replace(floats({2, -4}))) == std::vector<float>{-1, 2});
  CHECK(says(refusal("grad_scale", {{"factor", kNaN}}), {"factor", "finite"}));
}

TEST(grad_noise_falls_with_the_step) {
  const at::Tensor zeros = floats(std::vector<float>(10000, 0));
  const auto spread = [&](Made& noise) {
    noise.see(zeros);
    Made stats("grad_stats", {{"stats", std::string("std")}});
    stats.see(noise.replace(zeros));
    return stats.logged("fc/grad/std");
  };
  Made noise("grad_noise", {{"std", 0.5}, {"decay", 1.0}});
  CHECK(std::abs(spread(noise) - 0.5) < 0.02);
  noise.host.now.global_step = 24;
  CHECK(std::abs(spread(noise) - 0.1) < 0.005);
  Made none("grad_noise", {{"std", 0.0}});
  CHECK(none.replace(floats({1})).equal(floats({1})));
  CHECK(says(refusal("grad_noise", {{"std", -1.0}}), {"std", "not below 0"}));
  CHECK(says(refusal("grad_noise", {{"decay", -1.0}}), {"decay"}));
}

TEST(tensor_hooks_say_what_they_are_for) {
  CHECK(make_tensor_hook("activation_stats", {})->fits(TapKind::output));
  CHECK(!make_tensor_hook("activation_stats", {})->fits(TapKind::grad));
  for (const char* name : {"grad_stats", "grad_scale", "grad_noise"}) {
    CHECK(!make_tensor_hook(name, {})->fits(TapKind::output));
    CHECK(make_tensor_hook(name, {})->fits(TapKind::grad) && make_tensor_hook(name, {})->fits(TapKind::param_grad));
  }
}

TEST(tensor_hooks_are_known_by_name) {
  CHECK(says(refusal("grad_stat", {}), {"'grad_stat'", "activation_stats", "grad_noise", "grad_scale", "grad_stats"}));
  CHECK(says(refusal("grad_scale", {{"scale", 1.0}}), {"grad_scale has no option 'scale'", "factor"}));
}
