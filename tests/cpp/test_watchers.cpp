// TimeLimit, Throughput and LRMonitor with a clock of the test's own; StepTimer against what contexts tell.
#include <cmath>

#include "check.h"
#include "core/registry.h"
#include "core/state_map.h"
#include "fake_host.h"
#include "toy.h"

using namespace pyhooks;
using toy::Training;

namespace {

/// A callback and the host that it is called with.
struct Watched {
  Watched(const std::string& name, const std::map<std::string, OptionValue>& options)
      : callback(make_callback(name, options)) {
    host.now.epochs = 3;
    host.now.batches = 4;
  }

  void start() { callback->on_train_start(ctx); }
  /// An epoch's start at that second; whether the epoch takes place.
  bool begin_epoch(std::int64_t epoch, double at) {
    host.clock = at;
    host.now.epoch = epoch;
    host.now.batch = 0;
    callback->on_train_epoch_start(ctx);
    return host.stops.empty();
  }
  /// A batch of 10 rows that ends at that second, after an optimizer step.
  void end_batch(std::int64_t batch, double at) {
    host.clock = at;
    host.now.batch = batch;
    host.now.samples = 10;
    ++host.now.global_step;
    callback->on_train_batch_end(ctx);
  }
  double logged(const std::string& name) const {
    double value = std::nan("");
    host.logged(name, value);
    return value;
  }

  FakeHost host;
  BatchContext ctx{host};
  std::shared_ptr<Callback> callback;
};

bool close(double a, double b) { return std::abs(a - b) < 1e-9; }

}  // namespace

TEST(time_limit_votes_once_at_the_first_batch_after_it) {
  Watched limit("time_limit", {{"seconds", 60.0}});
  limit.start();
  CHECK(limit.begin_epoch(0, 1));
  limit.end_batch(0, 59.9);
  CHECK(limit.host.stops.empty());
  limit.end_batch(1, 61.25);
  limit.end_batch(2, 70);
  CHECK(limit.host.stops == Notes{"training has taken 61.2 s of the 60.0 s it may take"});
}

TEST(time_limit_looks_again_before_an_epoch) {
  Watched limit("time_limit", {{"seconds", 60.0}});
  limit.start();
  CHECK(limit.begin_epoch(0, 1));
  limit.end_batch(3, 20);
  CHECK(!limit.begin_epoch(1, 80));  // validation took its time
}

TEST(time_limit_does_not_begin_an_epoch_that_would_not_fit) {
  Watched limit("time_limit", {{"seconds", 60.0}, {"whole_epochs", true}});
  limit.start();
  CHECK(limit.begin_epoch(0, 1));
  CHECK(limit.begin_epoch(1, 26));  // 25 s
  CHECK(!limit.begin_epoch(2, 40));
  CHECK(limit.host.stops ==
        Notes{"training has taken 40.0 s of the 60.0 s it may take, and the longest epoch took 25.0 s"});
}

TEST(time_limit_of_all_runs_goes_on_counting) {
  for (const bool total : {false, true}) {
    Watched first("time_limit", {{"seconds", 60.0}, {"total", total}});
    first.start();
    first.begin_epoch(0, 1);
    first.end_batch(0, 30);
    first.host.clock = 50;
    first.callback->on_fit_epoch_end(first.ctx);
    Watched second("time_limit", {{"seconds", 60.0}, {"total", total}});
    second.host.clock = 2;
    second.start();
    load_state(*second.callback, save_state(*first.callback));
    CHECK(second.begin_epoch(1, 5));
    second.end_batch(0, 11);
    CHECK(second.host.stops.empty() == !total);
    second.start();  // another fit has all the time again
    second.host.stops.clear();
    second.end_batch(0, 12);
    CHECK(second.host.stops.empty());
  }
}

TEST(throughput_is_of_the_window_and_of_the_epoch) {
  Watched speed("throughput", {{"window", std::int64_t{2}}});
  speed.start();
  speed.begin_epoch(0, 10);
  speed.end_batch(0, 11);
  CHECK(close(speed.logged("throughput/samples"), 10));
  speed.end_batch(1, 13);
  CHECK(close(speed.logged("throughput/samples"), 20.0 / 3));
  speed.end_batch(2, 17);
  CHECK(close(speed.logged("throughput/samples"), 20.0 / 6));  // the first has left the window
  CHECK(close(speed.logged("throughput/steps"), 2.0 / 6));
  speed.callback->on_train_epoch_end(speed.ctx);
  CHECK(close(speed.logged("throughput/samples"), 30.0 / 7));
  CHECK(close(speed.logged("throughput/steps"), 3.0 / 7));
}

TEST(throughput_leaves_out_what_lies_between_epochs) {
  Watched speed("throughput", {{"window", std::int64_t{100}}});
  speed.start();
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    const double start = 100.0 * static_cast<double>(epoch);  // 96 s of validation
    speed.begin_epoch(epoch, start);
    for (std::int64_t batch = 0; batch < 4; ++batch) speed.end_batch(batch, start + static_cast<double>(batch + 1));
    CHECK(close(speed.logged("throughput/samples"), 10));
    speed.callback->on_train_epoch_end(speed.ctx);
    CHECK(close(speed.logged("throughput/samples"), 10));
  }
}

TEST(throughput_tells_the_seconds_left) {
  Watched speed("throughput", {});
  speed.start();
  speed.begin_epoch(0, 0);
  speed.end_batch(0, 2);
  CHECK(close(speed.logged("throughput/eta"), 11 * 2.0));  // 3 epochs of 4 batches
  for (std::int64_t batch = 1; batch < 4; ++batch) speed.end_batch(batch, 2.0 * static_cast<double>(batch + 1));
  speed.callback->on_train_epoch_end(speed.ctx);
  CHECK(close(speed.logged("throughput/eta"), 8 * 2.0));
  speed.begin_epoch(1, 13);  // the end of an epoch takes 5 s, and there are two to come
  speed.end_batch(0, 15);
  CHECK(close(speed.logged("throughput/eta"), 7 * 2.0 + 2 * 5));
}

TEST(throughput_starts_anew_with_each_run) {
  Watched speed("throughput", {});
  for (int run = 0; run < 2; ++run) {
    speed.start();
    speed.begin_epoch(0, 50.0 * run);
    speed.end_batch(0, 50.0 * run + 2);
    CHECK(close(speed.logged("throughput/samples"), 5));
    CHECK(close(speed.logged("throughput/steps"), 0.5));
    CHECK(close(speed.logged("throughput/eta"), 22));
  }
}

TEST(throughput_counts_the_late_step_of_a_short_group) {
  Training training(1, {{1}, {1}, {1}});
  training.accumulate(2);
  training.source->knows_length = false;
  training.dispatcher->add(make_callback("throughput", {}), find_callback("throughput").events, {}, "throughput");
  training.loop.run();
  const double steps = *find_metric(training.loop.metrics(), "throughput/steps");
  const double samples = *find_metric(training.loop.metrics(), "throughput/samples");
  CHECK(close(samples / steps, 1.5));
  CHECK(find_metric(training.loop.metrics(), "throughput/eta") == nullptr);
}

TEST(lr_monitor_logs_what_the_step_is_made_with) {
  Training training(1, {{1}, {1}, {1}});
  training.dispatcher->add(make_callback("lr_monitor", {}), find_callback("lr_monitor").events, {}, "lr_monitor");
  training.trace->in_phase = Phase::mutate;
  training.trace->also_batch = [](const std::string& note, BatchContext& ctx) {
    if (note == "optimizer_step 0.1") ctx.set_lr(0.125);
    if (note == "on_backward_end 0.2") ctx.skip_step();
  };
  training.loop.run();
  CHECK(training.loop.recorder().column("lr_monitor/pg0") == (std::vector<double>{0.25, 0.125, 0.125}));
  CHECK(training.loop.recorder().column("lr")[1] == 0.25);
}

TEST(step_timer_writes_each_batchs_times_into_its_row) {
  Training training(2, {{1}, {1}, {1}});
  training.dispatcher->add(make_callback("step_timer", {}), find_callback("step_timer").events, {}, "step_timer");
  std::vector<StepTimes> told;  // of the batch before
  training.trace->also_batch = [&](const std::string& note, BatchContext& ctx) {
    if (note.starts_with("on_train_batch_start")) told.push_back(ctx.step_times());
  };
  training.loop.run();
  const Recorder& recorder = training.loop.recorder();
  CHECK(recorder.column("time/data").size() == 6);
  for (std::size_t batch = 0; batch + 1 < told.size(); ++batch) {
    CHECK(recorder.column("time/data")[batch] == told[batch + 1].data);
    CHECK(recorder.column("time/step")[batch] == told[batch + 1].step);
    CHECK(recorder.column("time/callbacks")[batch] == told[batch + 1].callbacks);
    CHECK(told[batch + 1].step > 0);
  }
  CHECK(find_metric(training.loop.metrics(), "time/step") != nullptr);
}
