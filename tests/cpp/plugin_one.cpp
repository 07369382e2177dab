// Half of the plugin that test_plugin_loader.cpp loads; plugin_two.cpp is the other.
#include <stdexcept>

#include "pyhooks/plugin.h"

namespace mine {

class Scaled final : public pyhooks::Callback {
 public:
  explicit Scaled(const pyhooks::Options& options) : factor_(options.get<float>("factor")) {
    if (factor_ == 0) throw std::out_of_range("Scaled: factor is 0");
  }
  void on_train_batch_end(pyhooks::BatchContext& ctx) override { ctx.log("scaled", factor_ * ctx.loss()); }

 private:
  float factor_;
};

}  // namespace mine

PYHOOKS_CALLBACK(mine::Scaled, "scaled", "Logs the loss times a factor.", {"factor", "float", 2, "the factor"});
