// C functions as callbacks: the struct they see, what they may ask for, and how their errors come out.
#include <cmath>
#include <cstring>
#include <functional>

#include "check.h"
#include "compare.h"
#include "core/c_callback.h"
#include "core/state_map.h"
#include "fake_host.h"
#include "toy.h"

using namespace pyhooks;
using toy::Training;

// Callbacks compiled long ago read these places: fields may only be added at the end.
static_assert(offsetof(pyhooks_batch, struct_size) == 0 && offsetof(pyhooks_batch, core) == 8);
static_assert(offsetof(pyhooks_batch, event) == 16 && offsetof(pyhooks_batch, state) == 24);
static_assert(offsetof(pyhooks_batch, state_size) == 32 && offsetof(pyhooks_batch, epoch) == 40);
static_assert(offsetof(pyhooks_batch, epochs) == 48 && offsetof(pyhooks_batch, step) == 56);
static_assert(offsetof(pyhooks_batch, batch) == 64 && offsetof(pyhooks_batch, batches) == 72);
static_assert(offsetof(pyhooks_batch, samples) == 80 && offsetof(pyhooks_batch, samples_seen) == 88);
static_assert(offsetof(pyhooks_batch, seconds) == 96 && offsetof(pyhooks_batch, loss) == 104);
static_assert(offsetof(pyhooks_batch, num_groups) == 112 && offsetof(pyhooks_batch, lr) == 120);
static_assert(offsetof(pyhooks_batch, set_lr) == 128 && offsetof(pyhooks_batch, scale_lr) == 136);
static_assert(offsetof(pyhooks_batch, num_params) == 144 && offsetof(pyhooks_batch, param_name) == 152);
static_assert(offsetof(pyhooks_batch, param) == 160 && offsetof(pyhooks_batch, grad) == 168);
static_assert(offsetof(pyhooks_batch, will_update) == 176 && offsetof(pyhooks_batch, skip_step) == 184);
static_assert(offsetof(pyhooks_batch, log) == 192 && offsetof(pyhooks_batch, logged) == 200);
static_assert(offsetof(pyhooks_batch, metric) == 208 && offsetof(pyhooks_batch, request_stop) == 216);
static_assert(offsetof(pyhooks_batch, request_save) == 224 && offsetof(pyhooks_batch, snapshot) == 232);
static_assert(offsetof(pyhooks_batch, fail) == 240 && sizeof(pyhooks_batch) == 248);
static_assert(offsetof(pyhooks_view, data) == 0 && offsetof(pyhooks_view, numel) == 8);
static_assert(offsetof(pyhooks_view, ndim) == 16 && offsetof(pyhooks_view, sizes) == 24);
static_assert(offsetof(pyhooks_view, strides) == 32 && offsetof(pyhooks_view, dtype) == 40);
static_assert(offsetof(pyhooks_view, device) == 44 && sizeof(pyhooks_view) == 48);

namespace {

using Act = std::function<void(pyhooks_batch*)>;

// The C function of all tests: `user` is what to do.
void act(pyhooks_batch* s, void* user) { (*static_cast<const Act*>(user))(s); }

std::shared_ptr<CCallback> callback(Event event, const Act& work, at::Tensor state = {}) {
  const auto kept = std::make_shared<Act>(work);
  return std::make_shared<CCallback>(
      CEntry{.function = act, .user = kept.get(), .event = event, .state = std::move(state), .keep = kept});
}

/// Adds a function to a training, under the name "watch".
std::shared_ptr<CCallback> listen(Training& training, Event event, const Act& work, at::Tensor state = {}) {
  auto made = callback(event, work, std::move(state));
  training.dispatcher->add(made, made->events(), {}, "watch");
  return made;
}

/// What comes out of a run in which a function does this at an event.
template <class Error>
std::string error_of(Event event, const Act& work) {
  Training training(1);
  listen(training, event, work);
  try {
    training.loop.run();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST(c_callback_sees_where_training_stands) {
  Training training(2, {{1}, {1, 1, 1}});
  std::vector<std::vector<std::int64_t>> seen;
  std::vector<double> losses;
  listen(training, Event::on_train_batch_end, [&](pyhooks_batch* s) {
    CHECK(s->struct_size == sizeof(pyhooks_batch) && std::strcmp(s->event, "on_train_batch_end") == 0);
    CHECK(s->state == nullptr && s->state_size == 0);
    seen.push_back({s->epoch, s->epochs, s->step, s->batch, s->batches, s->samples, s->samples_seen});
    losses.push_back(s->loss(s));
    CHECK(s->num_groups(s) == 1 && s->lr(s, 0) == 0.25 && s->num_params(s) == 1 && s->seconds(s) > 0);
  });
  training.loop.run();
  CHECK(seen[0] == std::vector<std::int64_t>{0, 2, 1, 0, 2, 1, 1});
  CHECK(seen[1] == std::vector<std::int64_t>{0, 2, 2, 1, 2, 3, 4});
  CHECK(seen[3] == std::vector<std::int64_t>{1, 2, 4, 1, 2, 3, 8});
  CHECK(losses == training.loop.recorder().column("loss"));
}

TEST(c_callback_outside_batches_has_no_batch) {
  Training training(1);
  int calls = 0;
  for (const Event event : {Event::on_pretrain_routine_start, Event::on_train_epoch_end, Event::teardown})
    listen(training, event, [&calls](pyhooks_batch* s) {
      ++calls;
      CHECK(s->batch == -1 && s->batches == -1 && s->samples == -1 && s->epoch == 0 && s->epochs == 1);
      CHECK(std::isnan(s->loss(s)) && s->will_update(s) == 0);
      CHECK(s->param(s, 0)->numel == 1);
    });
  training.loop.run();
  CHECK(calls == 3);
  CHECK(says(error_of<std::logic_error>(Event::on_train_epoch_end, [](pyhooks_batch* s) { s->skip_step(s); }),
             {"skip_step is for batch events; on_train_epoch_end is none"}));
  CHECK(says(error_of<std::logic_error>(Event::on_train_end, [](pyhooks_batch* s) { s->grad(s, 0); }),
             {"grad is for batch events"}));
}

TEST(c_callback_before_there_is_an_optimizer_has_no_rate) {
  FakeHost host;
  Context context(host);
  int calls = 0;
  const auto made = callback(Event::on_train_start, [&](pyhooks_batch* s) {
    CHECK(s->num_groups(s) == 0 && std::isnan(s->lr(s, 0)));
    ++calls;
  });
  made->on_train_start(context);
  CHECK(calls == 1);
}

TEST(c_callback_before_forward_has_no_loss_and_no_gradient) {
  Training training(1);
  listen(training, Event::on_train_batch_start, [](pyhooks_batch* s) {
    CHECK(std::isnan(s->loss(s)));
    const pyhooks_view* grad = s->grad(s, 0);
    CHECK(grad->data == nullptr && grad->numel == 0 && grad->ndim == 0 && grad->dtype == -1 && grad->device == -1);
  });
  training.loop.run();
}

TEST(c_callback_changes_gradients_and_parameters_in_place) {
  Training training(1, {{1}, {1}});
  listen(training, Event::optimizer_step, [](pyhooks_batch* s) {
    const pyhooks_view* grad = s->grad(s, 0);
    const pyhooks_view* param = s->param(s, 0);
    CHECK(grad->numel == 1 && grad->dtype == PYHOOKS_FLOAT32 && grad->device == -1 && param != grad);
    *static_cast<float*>(grad->data) = -4;
    *static_cast<float*>(param->data) = 1;
  });
  training.loop.run();
  CHECK(training.descent->grads == std::vector<float>{-4, -4});
  CHECK(value(training.weight) == 2);
}

TEST(c_callback_views_have_shape_and_name_and_gradients_the_strides_of_parameters) {
  FakeHost host;
  host.params = {floats({1, 2, 3, 4, 5, 6}, {2, 3}), floats({1, 2, 3, 4, 5, 6}, {3, 2}).t()};
  host.grads = {floats({1, 4, 2, 5, 3, 6}, {3, 2}).t(), floats({1, 2, 3, 4, 5, 6}, {2, 3})};
  BatchContext context(host);
  const auto made = callback(Event::optimizer_step, [](pyhooks_batch* s) {
    for (std::int64_t i = 0; i < s->num_params(s); ++i) {
      const pyhooks_view* param = s->param(s, i);
      const pyhooks_view* grad = s->grad(s, i);
      CHECK(grad->ndim == 2 && grad->sizes[0] == 2 && grad->sizes[1] == 3 && grad->numel == 6);
      CHECK(grad->strides[0] == param->strides[0] && grad->strides[1] == param->strides[1]);
    }
    CHECK(s->param(s, 0) != s->param(s, 1) && s->param(s, 1)->strides[1] == 2);
    CHECK(std::string(s->param_name(s, 0)) == "w" && std::string(s->param_name(s, 1)) == "b");
  });
  made->optimizer_step(context);
  CHECK(values<float>(host.grads[0]) == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(values<float>(host.grads[1]) == std::vector<float>{1, 2, 3, 4, 5, 6} && !host.grads[1].is_contiguous());
}

TEST(c_callback_asks_for_what_a_native_class_may_ask_for) {
  Training training(3, {{1}, {1}, {1}});
  listen(training, Event::on_backward_end, [](pyhooks_batch* s) {
    CHECK(s->will_update(s) == 1);
    s->log(s, "twice", 2 * s->loss(s));
    CHECK(s->logged(s, "twice") == 2 * s->logged(s, "loss") && std::isnan(s->logged(s, "other")));
    if (s->batch == 1) s->skip_step(s);
    if (s->batch == 2) s->set_lr(s, 0.5, 0);
  });
  listen(training, Event::on_train_epoch_end, [](pyhooks_batch* s) {
    CHECK(s->metric(s, "train/loss") > 0 && std::isnan(s->metric(s, "val/loss")));
    s->scale_lr(s, 0.5);
    s->snapshot(s, nullptr);
    s->request_stop(s, "enough");
  });
  training.loop.run();
  CHECK(training.descent->hypers.size() == 2 && training.descent->hypers[1].lr == 0.5);
  CHECK(training.descent->hyper(0).lr == 0.25);
  CHECK(training.loop.votes().size() == 1 && training.loop.votes()[0].who == "watch");
  CHECK(training.loop.votes()[0].reason == "enough" && training.loop.snapshots()[0].reason == "no reason given");
  const std::vector<double> losses = training.loop.recorder().column("loss");
  CHECK(training.loop.recorder().column("twice")[2] == 2 * losses[2]);
}

TEST(c_callback_errors_come_out_when_it_has_returned) {
  bool returned = false;
  CHECK(says(error_of<std::out_of_range>(Event::on_train_batch_end,
                                         [&](pyhooks_batch* s) {
                                           CHECK(s->param(s, 1)->numel == 0 && s->grad(s, -1)->data == nullptr);
                                           CHECK(std::string(s->param_name(s, 5)).empty());
                                           s->fail(s, "too late");
                                           returned = true;
                                         }),
             {"parameter 1 asked for, but 1 parameters are trained"}));
  CHECK(returned);
  CHECK(error_of<std::runtime_error>(Event::on_backward_end, [](pyhooks_batch* s) { s->fail(s, "no luck"); }) ==
        "no luck");
  CHECK(says(error_of<std::runtime_error>(Event::on_train_end, [](pyhooks_batch* s) { s->fail(s, nullptr); }),
             {"failed without a message"}));
  CHECK(says(error_of<std::logic_error>(Event::on_params_update, [](pyhooks_batch* s) { s->skip_step(s); }),
             {"skip_step() was called at on_params_update"}));
  CHECK(says(error_of<std::out_of_range>(Event::on_backward_end, [](pyhooks_batch* s) { s->set_lr(s, 1, 3); }),
             {"group 3"}));
  CHECK(says(error_of<std::out_of_range>(Event::on_backward_end, [](pyhooks_batch* s) { s->lr(s, -1); }),
             {"group -1 asked for"}));
  CHECK(error_of<std::invalid_argument>(Event::on_backward_end, [](pyhooks_batch* s) { s->set_lr(s, -1, 0); }) ==
        "set_lr was given -1; a learning rate is a finite number, 0 or more");
  CHECK(says(error_of<std::invalid_argument>(Event::on_backward_end, [](pyhooks_batch* s) { s->scale_lr(s, -1); }),
             {"scale_lr was given -1;"}));
}

TEST(c_callback_error_of_one_call_does_not_stay) {
  Training training(1, {{1}, {1}, {1}});
  int calls = 0;
  auto made = callback(Event::on_train_batch_end, [&](pyhooks_batch* s) {
    if (calls++ == 0) s->fail(s, "once");
  });
  training.dispatcher->add(made, made->events(), {}, "watch", true, {.on_error = ErrorPolicy::warn});
  training.loop.run();
  CHECK(calls == 3 && training.dispatcher->registrations().back()->stats.failures == 1);
}

TEST(c_callback_error_that_the_callee_keeps) {
  struct Foreign {};
  auto made = std::make_shared<CCallback>(CEntry{.function = [](pyhooks_batch* s, void*) { s->fail(s, nullptr); },
                                                 .event = Event::on_train_end,
                                                 .pending_error = [] { return std::make_exception_ptr(Foreign{}); }});
  FakeHost host;
  Context context(host);
  CHECK_THROWS(made->on_train_end(context), Foreign);
}

TEST(c_callback_state_starts_anew_and_is_saved_and_loaded) {
  const at::Tensor initial = tensor<double>({1, 2}, {1, 2});
  const auto count = [](pyhooks_batch* s) {
    CHECK(s->state_size == 2);
    s->state[0] += 1;
  };
  std::shared_ptr<CCallback> made;
  for (int run = 0; run < 2; ++run) {
    Training training(1, {{1}, {1}, {1}});
    made = listen(training, Event::on_train_batch_end, count, initial);
    training.loop.run();
    CHECK(values<double>(made->copy_state()) == (std::vector<double>{4, 2}));
  }
  CHECK(values<double>(initial) == (std::vector<double>{1, 2}));
  const auto other = callback(Event::on_train_batch_end, count, initial);
  load_state(*other, save_state(*made));
  CHECK(values<double>(other->copy_state()) == (std::vector<double>{4, 2}));
  FakeHost host;
  BatchContext context(host);
  other->on_train_batch_end(context);  // in the memory that was loaded into
  CHECK(values<double>(other->copy_state()) == (std::vector<double>{5, 2}));
  other->on_train_start(context);
  CHECK(values<double>(other->copy_state()) == (std::vector<double>{1, 2}));
}

TEST(c_callback_refuses_what_it_cannot_call_or_keep) {
  CHECK_THROWS(CCallback(CEntry{}), std::invalid_argument);
  CHECK_THROWS(callback(Event::on_train_end, {}, floats({1})), std::invalid_argument);
  const auto two = callback(Event::on_train_end, {}, tensor<double>({1, 2}));
  const auto three = callback(Event::on_train_end, {}, tensor<double>({1, 2, 3}));
  CHECK_THROWS(load_state(*three, save_state(*two)), std::invalid_argument);
  CHECK(save_state(*callback(Event::on_train_end, {})).empty());
}

TEST(c_callback_compiled_against_an_older_header_still_works) {
  struct Older {  // a header that ended at `step`
    std::size_t struct_size;
    void* core;
    const char* event;
    double* state;
    std::int64_t state_size;
    std::int64_t epoch;
    std::int64_t epochs;
    std::int64_t step;
  };
  static std::int64_t last_step;
  Training training(1, {{1}, {1}, {1}});
  auto made = std::make_shared<CCallback>(CEntry{.function =
                                                     [](pyhooks_batch* s, void*) {
                                                       const Older* older = reinterpret_cast<const Older*>(s);
                                                       CHECK(older->struct_size >= sizeof(Older));
                                                       last_step = older->step;
                                                     },
                                                 .event = Event::on_train_batch_end});
  training.dispatcher->add(made, made->events(), {}, "older");
  training.loop.run();
  CHECK(last_step == 3);
}

TEST(c_callback_asks_whether_a_field_is_there) {
  pyhooks_batch running{};
  running.struct_size = offsetof(pyhooks_batch, fail);  // of a pyhooks that had no `fail` yet
  CHECK(PYHOOKS_HAS(&running, snapshot) && !PYHOOKS_HAS(&running, fail));
}
