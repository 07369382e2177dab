#include <algorithm>
#include <string>

#include "pyhooks/option_checks.h"
#include "pyhooks/plugin.h"

namespace pyhooks {

/// Asks for a stop when training has taken that long, after the batch in which it has. The time is that of this `fit`, from
/// its very start; with `total`, that of the runs it was resumed from as well.
///
/// With `whole_epochs` an epoch is not begun that would not fit, the longest so far being the measure: what a checkpoint
/// then holds are whole epochs, from which a resumed run equals one that never stopped.
class TimeLimit final : public Callback {
 public:
  explicit TimeLimit(const Options& options)
      : limit_(checked::positive(options, "TimeLimit", "seconds")),
        total_(options.get<bool>("total")),
        whole_epochs_(options.get<bool>("whole_epochs")) {}

  Phase phase() const override { return Phase::vote; }

  void state(State& state) override {
    double spent = earlier_ + now_;
    state.field("spent", spent);
    if (state.loading()) earlier_ = spent;
  }

  void on_train_start(Context& ctx) override {
    earlier_ = longest_epoch_ = 0;
    epoch_start_ = -1;
    now_ = ctx.seconds();
    voted_ = false;
  }

  void on_train_epoch_start(Context& ctx) override {
    look(ctx);
    if (epoch_start_ >= 0) longest_epoch_ = std::max(longest_epoch_, now_ - epoch_start_);
    epoch_start_ = now_;
    if (whole_epochs_ && spent() + longest_epoch_ > limit_)
      vote(ctx, ", and the longest epoch took " + seconds(longest_epoch_));
  }

  void on_train_batch_end(BatchContext& ctx) override { look(ctx); }
  void on_fit_epoch_end(Context& ctx) override { now_ = ctx.seconds(); }  // for the checkpoint

 private:
  static std::string seconds(double value) {
    std::string text = std::to_string(value);
    return text.substr(0, text.find('.') + 2) + " s";
  }

  double spent() const { return total_ ? earlier_ + now_ : now_; }

  void look(Context& ctx) {
    now_ = ctx.seconds();
    if (spent() > limit_) vote(ctx, "");
  }

  void vote(Context& ctx, const std::string& why) {
    if (voted_) return;
    voted_ = true;
    ctx.request_stop("training has taken " + seconds(spent()) + " of the " + seconds(limit_) + " it may take" + why);
  }

  double limit_;
  bool total_;
  bool whole_epochs_;
  double earlier_ = 0;  // spent in the runs this one was resumed from
  double now_ = 0;      // seconds of this run, when last looked at
  double epoch_start_ = -1;
  double longest_epoch_ = 0;
  bool voted_ = false;
};

PYHOOKS_CALLBACK(TimeLimit, "time_limit", "Stops training when it has taken too long, after the batch in which it has.",
                 {"seconds", "float", {}, "how long training may take, from fit's start on"},
                 {"total", "bool", false, "count the runs this one was resumed from too"},
                 {"whole_epochs", "bool", false, "do not begin an epoch that would not fit, by the longest so far"});

}  // namespace pyhooks
