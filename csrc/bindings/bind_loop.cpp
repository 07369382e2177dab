#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include <functional>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "core/loop.h"
#include "core/signals.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

/// A loop as Python holds it: knows the Python exception that ended it.
class PythonLoop {
 public:
  explicit PythonLoop(std::shared_ptr<Dispatcher> dispatcher) : loop(dispatcher), dispatcher_(std::move(dispatcher)) {
    auto& hooks = loop.config.hooks;
    hooks.check_signals = [] {
      Gil gil;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    };
    hooks.is_interrupt = [this](std::exception_ptr) {
      Gil gil;
      return py::isinstance(error_, py::reinterpret_borrow<py::object>(PyExc_KeyboardInterrupt));
    };
    hooks.on_error = [this](std::exception_ptr error) {
      Gil gil;
      error_ = python_exception(error, dispatcher_->current() != nullptr, loop.where());
      add_note(error_, "pyhooks: " + loop.where());
      if (on_error) on_error(error_);
    };
    hooks.on_secondary_error = [this](std::exception_ptr error) {
      Gil gil;
      if (on_secondary_error) on_secondary_error(python_exception(error, true));
    };
  }

  void run(const std::vector<int>& signals) {
    watch_callbacks();
    try {
      py::gil_scoped_release release;
      SignalWatch watch(signals);
      loop.run();
    } catch (...) {
      forget();
      loop.release();
      // An exception that ended training was converted when it came; teardown's own was not.
      const py::object error = error_ ? error_ : python_exception(std::current_exception(), true);
      error_ = py::object();
      raise(error);
    }
    forget();
    loop.release();
  }

  Loop loop;
  std::function<void(py::object)> on_error;
  std::function<void(py::object)> on_secondary_error;
  std::function<void(py::dict)> on_notice;

 private:
  void watch_callbacks() {
    dispatcher_->is_fatal = [](const std::exception_ptr& error) {
      Gil gil;
      return !py::isinstance(python_exception(error, true), py::reinterpret_borrow<py::object>(PyExc_Exception));
    };
    dispatcher_->on_notice = [this](const Notice& notice) {
      Gil gil;
      if (on_notice) on_notice(describe(notice));
    };
  }

  void forget() {
    dispatcher_->is_fatal = {};
    dispatcher_->on_notice = {};
  }

  py::dict describe(const Notice& notice) const {
    py::dict dict;
    dict["label"] = notice.who.label;
    dict["where"] = loop.where();
    dict["error"] = notice.error ? python_exception(notice.error, true) : py::object(py::none());
    dict["failures"] = notice.who.stats.failures;
    dict["disabled"] = !notice.who.alive;
    dict["budget"] = notice.who.manner.budget;
    dict["mean_ns"] = notice.who.stats.mean_ns();
    return dict;
  }

  std::shared_ptr<Dispatcher> dispatcher_;
  py::object error_;
};

py::dict to_dict(const Metrics& metrics) {
  py::dict dict;
  for (const auto& [name, value] : metrics) dict[py::str(name)] = value;
  return dict;
}

Metrics to_metrics(const py::dict& dict) {
  Metrics metrics;
  for (const auto& [name, value] : dict) metrics.emplace_back(name.cast<std::string>(), value.cast<double>());
  return metrics;
}

// Copies under the lock, converts after it: making Python objects may run the garbage collector, and so anything.
py::dict columns(const Loop& loop) {
  using Columns = std::vector<std::pair<std::string, std::vector<double>>>;
  const Columns copied = loop.books([](const Loop& books) {
    Columns columns;
    for (const std::string& name : books.recorder().names()) columns.emplace_back(name, books.recorder().column(name));
    return columns;
  });
  py::dict result;
  for (const auto& [name, values] : copied)
    result[py::str(name)] = py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
  return result;
}

py::list to_list(const std::deque<MemorySnapshot>& snapshots) {
  py::list result;
  for (const MemorySnapshot& snapshot : snapshots) {
    py::dict dict;
    dict["who"] = snapshot.who;
    dict["reason"] = snapshot.reason;
    dict["epoch"] = snapshot.epoch;
    dict["batch"] = snapshot.batch < 0 ? py::object(py::none()) : py::object(py::int_(snapshot.batch));
    dict["global_step"] = snapshot.global_step;
    dict["params"] = snapshot.params;
    dict["buffers"] = snapshot.buffers;
    dict["optimizer"] = snapshot.optimizer;
    result.append(dict);
  }
  return result;
}

MetricSpec metric_spec(std::string name, std::optional<std::function<double(std::vector<double>)>> compute) {
  if (compute) return {std::move(name), std::move(*compute)};
  return {std::move(name), [](const std::vector<double>& sums) { return sums.at(0) / sums.at(1); }};
}

py::dict to_dict(const StopVote& vote) {
  py::dict dict;
  dict["who"] = vote.who;
  dict["reason"] = vote.reason;
  dict["epoch"] = vote.epoch;
  dict["batch"] = vote.batch < 0 ? py::object(py::none()) : py::object(py::int_(vote.batch));
  return dict;
}

void bind_config(py::class_<PythonLoop>& loop) {
  auto field = [&](const char* name, auto member) {
    loop.def_property(
        name, [member](PythonLoop& self) { return self.loop.config.*member; },
        [member](PythonLoop& self, std::remove_reference_t<decltype(self.loop.config.*member)> value) {
          self.loop.config.*member = std::move(value);
        });
  };
  field("epochs", &LoopConfig::epochs);
  field("start_epoch", &LoopConfig::start_epoch);
  field("start_step", &LoopConfig::start_step);
  field("start_lr_factor", &LoopConfig::start_lr_factor);
  field("accumulate", &LoopConfig::accumulate);
  field("clip_norm", &LoopConfig::clip_norm);
  field("clip_value", &LoopConfig::clip_value);
  field("fitness_name", &LoopConfig::fitness);
  field("param_names", &LoopConfig::param_names);
  field("params", &LoopConfig::params);
  field("buffer_names", &LoopConfig::buffer_names);
  field("buffers", &LoopConfig::buffers);
  field("scheduled", &LoopConfig::scheduled);
  field("engine", &LoopConfig::engine);
  field("optimizer", &LoopConfig::optimizer);
  field("train", &LoopConfig::train);
  field("val", &LoopConfig::val);
  auto hook = [&](const char* name, auto member) {
    loop.def_property(
        name, nullptr,
        [member](PythonLoop& self, std::remove_reference_t<decltype(self.loop.config.hooks.*member)> function) {
          self.loop.config.hooks.*member = std::move(function);
        });
  };
  hook("setup", &LoopHooks::setup);
  hook("begin_epoch", &LoopHooks::begin_epoch);
  hook("end_batches", &LoopHooks::end_batches);
  hook("started", &LoopHooks::started);
  hook("save", &LoopHooks::save);
  loop.def_readwrite("on_error", &PythonLoop::on_error);
  loop.def_readwrite("on_notice", &PythonLoop::on_notice);
  loop.def_readwrite("on_secondary_error", &PythonLoop::on_secondary_error);
  loop.def(
      "add_metric",
      [](PythonLoop& self, std::string name, std::optional<std::function<double(std::vector<double>)>> compute) {
        self.loop.config.metrics.push_back(metric_spec(std::move(name), std::move(compute)));
      },
      py::arg("name"), py::arg("compute") = py::none(),
      "compute: from summed statistics to a value; None: sums[0] / sums[1], natively.");
}

}  // namespace

void bind_loop(py::module_& module) {
  py::class_<Peek>(module, "Peek", "What other threads may see of a running training.")
      .def(py::init<>())
      .def_readonly("epoch", &Peek::epoch)
      .def_readonly("epochs", &Peek::epochs)
      .def_readonly("batch", &Peek::batch)
      .def_readonly("batches", &Peek::batches)
      .def_readonly("global_step", &Peek::global_step)
      .def_readonly("loss", &Peek::loss)
      .def_readonly("seconds", &Peek::seconds)
      .def_property_readonly("training", [](const Peek& self) -> std::optional<bool> {
        return self.training < 0 ? std::nullopt : std::optional(self.training == 1);
      });
  auto loop = py::class_<PythonLoop>(module, "Loop", "The native training loop.");
  loop.def(py::init<std::shared_ptr<Dispatcher>>(), py::arg("dispatcher"))
      .def("run", &PythonLoop::run, py::arg("signals"),
           "Trains; the GIL is released but for hooks and Python callbacks.")
      .def("model_saved",
           [](PythonLoop& self) {
             py::gil_scoped_release release;
             self.loop.model_saved();
           })
      .def("checkpoint_durable",
           [](PythonLoop& self) {
             py::gil_scoped_release release;
             self.loop.checkpoint_durable();
           })
      .def(
          "vote",
          [](PythonLoop& self, std::optional<std::string> who, const std::string& reason) {
            if (who) return self.loop.vote(*who, reason);
            self.loop.request_stop(reason);
          },
          py::arg("who"), py::arg("reason"), "who None: the callback that is being called.")
      .def("vote_from_outside",
           [](PythonLoop& self, std::string reason) { self.loop.vote_from_outside(std::move(reason)); })
      .def("log", [](PythonLoop& self, const std::string& name, double value) { self.loop.log(name, value); })
      .def("restore",
           [](PythonLoop& self, std::optional<double> best_fitness, std::int64_t best_epoch,
              const std::vector<py::dict>& history) {
             std::vector<Metrics> epochs;
             for (const py::dict& epoch : history) epochs.push_back(to_metrics(epoch));
             self.loop.restore(best_fitness, best_epoch, std::move(epochs));
           })
      .def("peek", [](const PythonLoop& self) { return self.loop.peek(); })
      .def("columns", [](const PythonLoop& self) { return columns(self.loop); })
      .def_property_readonly("epoch", [](const PythonLoop& self) { return self.loop.progress().epoch; })
      .def_property_readonly("global_step", [](const PythonLoop& self) { return self.loop.progress().global_step; })
      .def_property_readonly("stopping",
                             [](const PythonLoop& self) { return self.loop.books(std::mem_fn(&Loop::stopping)); })
      .def_property_readonly("votes",
                             [](const PythonLoop& self) {
                               py::list votes;
                               const std::vector<StopVote> copied = self.loop.books(std::mem_fn(&Loop::votes));
                               for (const StopVote& vote : copied) votes.append(to_dict(vote));
                               return votes;
                             })
      .def_property_readonly("metrics",
                             [](const PythonLoop& self) {
                               const Metrics copied = self.loop.books(std::mem_fn(&Loop::metrics));
                               return to_dict(copied);
                             })
      .def_property_readonly("history",
                             [](const PythonLoop& self) {
                               py::list epochs;
                               const std::vector<Metrics> copied = self.loop.books(std::mem_fn(&Loop::history));
                               for (const Metrics& metrics : copied) epochs.append(to_dict(metrics));
                               return epochs;
                             })
      .def_property_readonly("fitness",
                             [](const PythonLoop& self) { return self.loop.books(std::mem_fn(&Loop::fitness)); })
      .def_property_readonly("best_fitness",
                             [](const PythonLoop& self) { return self.loop.books(std::mem_fn(&Loop::best_fitness)); })
      .def_property_readonly("best_epoch",
                             [](const PythonLoop& self) { return self.loop.books(std::mem_fn(&Loop::best_epoch)); })
      .def_property_readonly("snapshots",
                             [](const PythonLoop& self) {
                               const auto copied = self.loop.books(std::mem_fn(&Loop::snapshots));
                               return to_list(copied);
                             })
      .def_property_readonly("lr_factor", [](const PythonLoop& self) { return self.loop.lr_factor(); })
      .def_property_readonly("epoch_seconds", [](const PythonLoop& self) { return self.loop.epoch_seconds(); })
      .def_property_readonly("epochs_run", [](const PythonLoop& self) { return self.loop.epochs_run(); });
  bind_config(loop);
}
