#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <string>
#include <vector>

#include "bindings/gil.h"
#include "pyhooks/callback.h"

namespace pyhooks {

/// Calls Python at run and epoch events: the only way from the loop into a user's Python callback. Each method is
/// called with the trainer, of which only a weak reference is kept.
class PythonCallback final : public Callback {
 public:
  /// `methods`: event name to callable. Batch events are refused.
  PythonCallback(const pybind11::dict& methods, const pybind11::object& trainer, Phase phase,
                 std::vector<std::string> logs);
  ~PythonCallback() override;

  Phase phase() const override { return phase_; }
  std::vector<std::string> logs() const override { return logs_; }
  EventMask events() const { return events_; }

  /// For Python's garbage collector: shows it the callables, which may refer to the trainer.
  int traverse(visitproc visit, void* arg) const;
  /// Breaks the cycle; it is never called again.
  void clear();

#define PYHOOKS_EVENT(name, kind) PYHOOKS_FORWARD_##kind(name)
#define PYHOOKS_FORWARD_run(name) \
  void name(Context&) override { call(Event::name); }
#define PYHOOKS_FORWARD_epoch(name) PYHOOKS_FORWARD_run(name)
#define PYHOOKS_FORWARD_batch(name)
#include "pyhooks/events.def"
#undef PYHOOKS_EVENT
#undef PYHOOKS_FORWARD_run
#undef PYHOOKS_FORWARD_epoch
#undef PYHOOKS_FORWARD_batch

 private:
  void call(Event event);

  std::array<PyObject*, kNumEvents> methods_{};
  PyObject* trainer_;  // a weakref
  Phase phase_;
  std::vector<std::string> logs_;
  EventMask events_ = 0;
};

}  // namespace pyhooks
