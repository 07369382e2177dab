#include <ATen/core/Tensor.h>

#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Logs how fast training goes, over the last `window` batches: optimizer steps, samples and tokens a second, and the
/// seconds that are left. The time that counts is that from an epoch's start to its last batch's end, waiting for data and
/// callbacks included; validation and whatever else lies between epochs is not part of it. The epoch's metrics are its
/// totals over its time, and the seconds left at its end.
///
/// The seconds left are those of the batches to come, at the window's speed, and for the end of this epoch and of those to
/// come what the ends of epochs have taken so far. Where nobody knows how many batches an epoch has, nothing is logged.
class Throughput final : public Callback {
 public:
  explicit Throughput(const Options& options)
      : window_(static_cast<std::size_t>(checked::at_least(1, options, "Throughput", "window"))) {
    const auto name = options.get<std::string>("name");
    steps_name_ = name + "/steps";
    samples_name_ = name + "/samples";
    tokens_name_ = name + "/tokens";
    eta_name_ = name + "/eta";
    if (options.has("tokens")) tokens_ = checked::at_least(0, options, "Throughput", "tokens");
    if (options.has("pad")) pad_ = options.get<std::int64_t>("pad");
    if (pad_ && !tokens_)
      throw std::invalid_argument("Throughput: pad is a token not to count; say with tokens which tensor holds them");
  }

  std::vector<std::string> logs() const override {
    std::vector<std::string> names{steps_name_, samples_name_, eta_name_};
    if (tokens_) names.push_back(tokens_name_);
    return names;
  }

  void on_train_start(Context& ctx) override {
    marks_.assign(1, {.steps = static_cast<double>(ctx.global_step())});
    between_ = 0;
    ends_ = 0;
  }

  void on_train_epoch_start(Context& ctx) override {
    const double now = ctx.seconds();
    if (marks_.back().batches > 0) {
      between_ += now - clock_;
      ++ends_;
    }
    clock_ = now;
    epoch_start_ = marks_.back();
  }

  void on_train_batch_end(BatchContext& ctx) override {
    const double now = ctx.seconds();
    Mark mark = marks_.back();
    mark.seconds += now - clock_;
    mark.steps = static_cast<double>(ctx.global_step());
    mark.samples += static_cast<double>(ctx.samples());
    if (tokens_) mark.tokens += count_tokens(ctx);
    ++mark.batches;
    clock_ = now;
    marks_.push_back(mark);
    if (marks_.size() > window_ + 1) marks_.pop_front();
    log(ctx, marks_.front(), mark);
    seconds_left_ = left(ctx);
    if (seconds_left_) ctx.log(eta_name_, *seconds_left_);
  }

  void on_train_epoch_end(Context& ctx) override {
    marks_.back().steps = static_cast<double>(ctx.global_step());  // a short last accumulation group steps late
    log(ctx, epoch_start_, marks_.back());
    if (seconds_left_) ctx.log(eta_name_, *seconds_left_);
  }

 private:
  /// What there has been by the end of a batch, since the run began.
  struct Mark {
    double seconds = 0;  // in batches
    double steps = 0;
    double samples = 0;
    double tokens = 0;
    double batches = 0;
  };

  double count_tokens(const BatchContext& ctx) const {
    const auto index = static_cast<std::size_t>(*tokens_);
    if (index >= ctx.num_inputs())
      throw std::out_of_range("Throughput: tokens is " + std::to_string(*tokens_) + ", but a batch has " +
                              std::to_string(ctx.num_inputs()) + " tensors (inputs, then targets), counted from 0");
    const at::Tensor& ids = ctx.input(index);
    return pad_ ? ids.ne(*pad_).sum().item<double>() : static_cast<double>(ids.numel());
  }

  void log(Context& ctx, const Mark& from, const Mark& to) const {
    const double seconds = to.seconds - from.seconds;
    if (!(seconds > 0)) return;
    ctx.log(steps_name_, (to.steps - from.steps) / seconds);
    ctx.log(samples_name_, (to.samples - from.samples) / seconds);
    if (tokens_) ctx.log(tokens_name_, (to.tokens - from.tokens) / seconds);
  }

  std::optional<double> left(const BatchContext& ctx) const {
    if (ctx.batches() < 0) return std::nullopt;
    const auto epochs = static_cast<double>(ctx.epochs() - ctx.epoch());  // this one included
    const double batches = epochs * static_cast<double>(ctx.batches()) - static_cast<double>(ctx.batch() + 1);
    const Mark& from = marks_.front();
    const Mark& to = marks_.back();
    const double ends = ends_ > 0 ? epochs * between_ / ends_ : 0;
    return batches * (to.seconds - from.seconds) / (to.batches - from.batches) + ends;
  }

  std::size_t window_;
  std::string steps_name_;
  std::string samples_name_;
  std::string tokens_name_;
  std::string eta_name_;
  std::optional<std::int64_t> tokens_;
  std::optional<std::int64_t> pad_;
  std::deque<Mark> marks_;  // of the last `window` batches and what was before them
  Mark epoch_start_;
  double clock_ = 0;    // seconds at the last batch's end, or the epoch's start
  double between_ = 0;  // seconds from the last batches of epochs to the next epochs' starts
  double ends_ = 0;     // how many such there were
  std::optional<double> seconds_left_;
};

PYHOOKS_CALLBACK(Throughput, "throughput",
                 "Logs optimizer steps, samples and tokens a second and the seconds left, for every batch.",
                 {"window", "int", std::int64_t{50}, "how many batches to average over"},
                 {"tokens", "int", {}, "which of a batch's tensors (inputs, then targets, from 0) holds token ids"},
                 {"pad", "int", {}, "the id that is no token; None: all are counted"},
                 {"name", "str", std::string("throughput"), "what the columns' names begin with"});

}  // namespace pyhooks
