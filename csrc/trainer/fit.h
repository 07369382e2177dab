#pragma once

#include <exception>
#include <string>
#include <vector>

#include "trainer/parts.h"

namespace pyhooks {

/// One call of Trainer::fit: sets the loop up, runs it, says where it failed.
class Fit {
 public:
  /// Throws std::invalid_argument for data or options that do not fit.
  Fit(TrainerParts& parts, const std::vector<at::Tensor>& train, const FitOptions& options);

  Result run();

 private:
  void prepare(std::shared_ptr<BatchSource> val);
  void set_hooks(LoopHooks& hooks);
  std::string fitness() const;
  void run_loop();
  void load_callbacks() const;
  void save_on_request(const std::vector<std::string>& reasons) const;
  void note_error(const std::exception_ptr& error);
  void tell(const Notice& notice) const;
  void warn(const std::string& text) const;
  [[noreturn]] void raise(const std::exception_ptr& error) const;
  Result result() const;

  TrainerParts& parts_;
  const FitOptions& options_;
  std::string where_;        // the error that ended training came from
  TrainingError place_{""};  // the same in numbers
};

}  // namespace pyhooks
