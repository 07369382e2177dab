#include <stdexcept>
#include <string>
#include <vector>

#include "pyhooks/plugin.h"

namespace pyhooks {

/// Logs every parameter group's learning rate for every batch: the one its optimizer step is made with, as callbacks and
/// schedules have left it. (The trainer's own "lr" column is group 0's, its metrics "lr/pg0", ... the rates at the epoch's
/// end.)
class LRMonitor final : public Callback {
 public:
  explicit LRMonitor(const Options& options) : name_(options.get<std::string>("name")) {
    if (name_ == "lr")
      throw std::invalid_argument("LRMonitor: name is 'lr', and lr/pg0 is the trainer's own metric: give it another");
  }

  /// Known when the optimizer is: from on_pretrain_routine_end on.
  std::vector<std::string> logs() const override { return columns_; }

  void on_pretrain_routine_end(Context& ctx) override { name_columns(ctx); }

  void on_backward_end(BatchContext& ctx) override { log(ctx); }
  void optimizer_step(BatchContext& ctx) override { log(ctx); }  // who clips or scales there may have set rates too

 private:
  void name_columns(Context& ctx) {
    columns_.clear();
    for (std::size_t group = 0; group < ctx.num_groups(); ++group)
      columns_.push_back(name_ + "/pg" + std::to_string(group));
  }

  void log(BatchContext& ctx) {
    if (columns_.size() != ctx.num_groups()) name_columns(ctx);  // a group was added
    for (std::size_t group = 0; group < columns_.size(); ++group) ctx.log(columns_[group], ctx.lr(group));
  }

  std::string name_;
  std::vector<std::string> columns_;
};

PYHOOKS_CALLBACK(LRMonitor, "lr_monitor", "Logs every parameter group's learning rate for every batch.",
                 {"name", "str", std::string("lr_monitor"), "the columns are called <name>/pg0, <name>/pg1, ..."});

}  // namespace pyhooks
