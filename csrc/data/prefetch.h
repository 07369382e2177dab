#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "core/interfaces.h"

namespace pyhooks {

/// Reads another source ahead in a thread, a few batches. Until `allowed` says yes it passes calls straight through:
/// a source that draws from the default generator must not run ahead of a step that draws from it too. An epoch's
/// first batch is always read in the caller's thread, since that is where samplers draw their order.
class Prefetch final : public BatchSource {
 public:
  Prefetch(std::shared_ptr<BatchSource> source, std::function<bool()> allowed, std::size_t depth = 2);
  ~Prefetch() override;

  std::int64_t batches() const override { return source_->batches(); }
  void begin_epoch() override;
  bool next(Batch& batch) override;
  void end_epoch() override;

 private:
  void work();
  void stop();

  std::shared_ptr<BatchSource> source_;
  std::function<bool()> allowed_;
  const std::size_t depth_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool first_ = true;
  bool exhausted_ = false;
  bool stopping_ = false;
};

}  // namespace pyhooks
