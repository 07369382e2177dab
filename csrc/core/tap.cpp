#include "core/tap.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "core/thrown.h"

namespace pyhooks {

namespace {

constexpr EventMask kAlways = bit(Event::on_train_start) | bit(Event::on_train_batch_start) |
                              bit(Event::on_backward_end) | bit(Event::on_train_batch_end) | bit(Event::teardown);
constexpr EventMask kForParameters =
    bit(Event::on_train_epoch_start) | bit(Event::optimizer_step) | bit(Event::on_before_zero_grad);

// The sites of all taps of the process. A tap outlives the steps that name its sites: only looking them up needs care.
struct Sites {
  struct Place {
    Tap* tap = nullptr;
    std::size_t slot = 0;
  };

  std::int64_t add(Place place) {
    std::unique_lock lock(mutex);
    places[++last] = place;
    return last;
  }
  void remove(std::int64_t number) {
    std::unique_lock lock(mutex);
    places.erase(number);
  }
  Place find(std::int64_t number) {
    std::shared_lock lock(mutex);
    const auto found = places.find(number);
    return found == places.end() ? Place{} : found->second;
  }

  std::shared_mutex mutex;
  std::unordered_map<std::int64_t, Place> places;
  std::int64_t last = 0;
};

Sites& sites() {
  static Sites all;
  return all;
}

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return "nothing";
  std::ostringstream text;
  text << tensor.scalar_type() << tensor.sizes() << " on " << tensor.device();
  return text.str();
}

void check_fits(const at::Tensor& wanted, const at::Tensor& found) {
  if (found.defined() && found.sizes() == wanted.sizes() && found.scalar_type() == wanted.scalar_type() &&
      found.device() == wanted.device())
    return;
  throw std::invalid_argument("replace() returned " + describe(found) + " for " + describe(wanted) +
                              ": size, dtype and device must be the same");
}

// A graph has the strides of `empty_like` baked in (the original's, unless it is expanded or has gaps), and may change
// the result in place.
at::Tensor own(const at::Tensor& original, const at::Tensor& result) {
  if (original.layout() != at::kStrided) return result.clone();
  const bool as_expected = result.layout() == at::kStrided && original.is_non_overlapping_and_dense() &&
                           result.strides() == original.strides();
  return as_expected && !result.is_alias_of(original) ? result : at::empty_like(original).copy_(result);
}

}  // namespace

Tap::Tap(std::shared_ptr<TensorHook> hook, EventMask events, TapConfig config)
    : hook_(std::move(hook)), events_(events | kAlways), config_(std::move(config)) {
  if (config_.kind == TapKind::param_grad) events_ |= kForParameters;
  if (config_.every < 1)
    throw std::invalid_argument("every is " + std::to_string(config_.every) + "; it must be at least 1");
  if (hook_->fits(config_.kind)) return;
  std::string fitting;
  for (TapKind kind : {TapKind::output, TapKind::grad, TapKind::param_grad})
    if (hook_->fits(kind)) fitting += (fitting.empty() ? "" : " or ") + ("on=\"" + std::string(kind_name(kind)) + '"');
  throw std::invalid_argument(config_.label + " is not for on=\"" + std::string(kind_name(config_.kind)) +
                              "\": add it with " + fitting);
}

Tap::~Tap() {
  for (std::int64_t number : numbers_) pyhooks::sites().remove(number);
}

std::size_t Tap::slot(const std::string& name) {
  const auto found = std::find_if(sites_.begin(), sites_.end(), [&](const TapSite& site) { return site.name == name; });
  if (found != sites_.end()) return found->slot;
  sites_.push_back({name, config_.kind, sites_.size()});
  numbers_.push_back(pyhooks::sites().add({this, sites_.back().slot}));
  return sites_.back().slot;
}

std::int64_t Tap::site(const std::string& name) { return numbers_[slot(name)]; }

std::vector<std::string> Tap::sites() const {
  std::vector<std::string> names;
  for (const TapSite& site : sites_) names.push_back(site.name);
  return names;
}

// Before the first batch nobody knows how many tensors a module returns: one, probably.
std::vector<std::string> Tap::logs() const {
  std::vector<std::string> columns;
  for (const std::string& name : sites_.empty() ? config_.names : sites())
    for (const std::string& log : hook_->logs())
      columns.push_back(name + '/' + std::string(kind_name(config_.kind)) + '/' + log);
  return columns;
}

template <Event event, class AnyContext>
void Tap::before(AnyContext& context) {
  const bool parameters_too = config_.kind == TapKind::param_grad;
  if constexpr (event == Event::on_train_start) start_run();
  if constexpr (event == Event::on_train_epoch_start) parameters_known_ = false;
  if constexpr (event == Event::on_train_batch_start) start_batch(context);
  if constexpr (event == Event::on_backward_end) {
    if (parameters_too && context.will_update()) parameters(context);
    pass_on_requests(context);
  }
  // A short last group that became one only at its end has had no on_backward_end that updates.
  if constexpr (event == Event::optimizer_step)
    if (parameters_too && !parameters_done_) {
      parameters(context);
      pass_on_requests(context);
    }
  if constexpr (event == Event::on_before_zero_grad) parameters_done_ = false;
  if constexpr (event == Event::on_train_batch_end || event == Event::teardown) batch_ = nullptr;
}

#define PYHOOKS_EVENT(name, kind)                       \
  void Tap::name(ContextOf<EventKind::kind>& context) { \
    before<Event::name>(context);                       \
    hook_->name(context);                               \
  }
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT

void Tap::start_run() {
  count_ = 0;
  cost_ = {};
  parameters_done_ = false;
  stop_reasons_.clear();
  skips_ = false;
}

void Tap::start_batch(BatchContext& context) {
  if (config_.kind != TapKind::param_grad && due()) batch_ = &context;
}

void Tap::parameters(BatchContext& context) {
  parameters_done_ = true;
  if (!parameters_known_) find_parameters(context);
  if (!due()) return;
  for (const auto& [index, slot] : parameters_) parameter(context, slot, context.grad(index));
}

void Tap::parameter(BatchContext& context, std::size_t slot, at::Tensor& grad) {
  if (!grad.defined()) return;
  if (replaces())
    grad = replaced(context, slot, grad, false);
  else
    hand(context, slot, false, [&](TapContext& tap) { hook_->see(tap, grad); });
}

// Layers are frozen and thawed between epochs only.
void Tap::find_parameters(const BatchContext& context) {
  parameters_.clear();
  const std::unordered_set<std::string> mine(config_.names.begin(), config_.names.end());
  for (std::size_t i = 0; i < context.num_params(); ++i)
    if (const std::string name(context.param_name(i)); mine.contains(name)) parameters_.emplace_back(i, slot(name));
  parameters_known_ = true;
}

// Here and not in the step: the tap is the callback being called, in whose name it counts.
void Tap::pass_on_requests(BatchContext& context) {
  if (skips_) context.skip_step();
  skips_ = false;
  for (const std::string& reason : stop_reasons_) context.request_stop(reason);
  stop_reasons_.clear();
}

template <class Work>
void Tap::hand(BatchContext& batch, std::size_t slot, bool again, Work&& work) {
  const TapSite& site = sites_.at(slot);
  at::NoGradGuard no_grad;
  c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  TapContext context(batch, site, again);
  const auto start = std::chrono::steady_clock::now();
  try {
    work(context);
  } catch (...) {
    explain(site);
  }
  if (!again) count_cost(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
  skips_ = skips_ || context.requests().skip;
  if (context.requests().stop) stop_reasons_.push_back(*context.requests().stop);
}

void Tap::count_cost(double ns) {
  ++cost_.calls;
  cost_.total_ns += ns;
  cost_.max_ns = std::max(cost_.max_ns, ns);
}

at::Tensor Tap::replaced(BatchContext& batch, std::size_t slot, const at::Tensor& tensor, bool again) {
  at::Tensor result;
  hand(batch, slot, again, [&](TapContext& tap) {
    result = hook_->replace(tap, tensor);
    check_fits(tensor, result);
  });
  return result;
}

void Tap::see(std::size_t slot, const at::Tensor& tensor) {
  if (!batch_) return;
  const at::Tensor plain = tensor.detach();
  hand(*batch_, slot, false, [&](TapContext& tap) { hook_->see(tap, plain); });
}

at::Tensor Tap::replace(std::size_t slot, const at::Tensor& tensor, bool again) {
  const at::Tensor plain = tensor.detach();
  return own(plain, batch_ ? replaced(*batch_, slot, plain, again) : plain);
}

// Adds who and where to what was thrown, and keeps its type, by which Python gets its own.
void Tap::explain(const TapSite& site) const {
  const std::string where =
      "in tensor hook " + config_.label + " at " + site.name + " (" + std::string(kind_name(site.kind)) + ")";
  const auto named = [&](const std::exception& error) { return error.what() + (" (" + where) + ')'; };
  try {
    throw;
  } catch (c10::Error& error) {
    error.add_context(where);
    throw;
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(named(error));
  } catch (const std::out_of_range& error) {
    throw std::out_of_range(named(error));
  } catch (const std::exception& error) {
    throw TapError(named(error));
  } catch (...) {
    throw TapError(thrown_type() + " (" + where + ')');
  }
}

void see_at(std::int64_t site, const at::Tensor& tensor) {
  if (const auto place = sites().find(site); place.tap) place.tap->see(place.slot, tensor);
}

at::Tensor replace_at(std::int64_t site, const at::Tensor& tensor, bool again) {
  const auto place = sites().find(site);
  return place.tap ? place.tap->replace(place.slot, tensor, again) : tensor.clone();
}

}  // namespace pyhooks
