#include "data/prefetch.h"

#include <utility>

namespace pyhooks {

Prefetch::Prefetch(std::shared_ptr<BatchSource> source, std::function<bool()> allowed, std::size_t depth)
    : source_(std::move(source)), allowed_(std::move(allowed)), depth_(depth) {}

Prefetch::~Prefetch() { stop(); }

void Prefetch::begin_epoch() {
  stop();
  ready_.clear();
  error_ = nullptr;
  first_ = true;
  exhausted_ = false;
  source_->begin_epoch();
}

bool Prefetch::next(Batch& batch) {
  if (!thread_.joinable()) {
    if (exhausted_) return false;
    if (std::exchange(first_, false) || !allowed_()) return source_->next(batch);
    stopping_ = false;
    thread_ = std::thread([this] { work(); });
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || exhausted_; });
  if (ready_.empty()) {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return false;
  }
  batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return true;
}

void Prefetch::work() {
  for (;;) {
    Batch batch;
    bool more = false;
    std::exception_ptr error;
    try {
      more = source_->next(batch);
    } catch (...) {
      error = std::current_exception();
    }
    std::unique_lock lock(mutex_);
    if (more) ready_.push_back(std::move(batch));
    error_ = error;
    exhausted_ = !more;
    changed_.notify_all();
    changed_.wait(lock, [&] { return exhausted_ || stopping_ || ready_.size() < depth_; });
    if (exhausted_ || stopping_) return;
  }
}

void Prefetch::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefetch::end_epoch() {
  stop();
  source_->end_epoch();
}

}  // namespace pyhooks
