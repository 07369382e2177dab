#include <pybind11/functional.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>

#include "bindings/bindings.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "data/prefetch.h"
#include "data/tensor_source.h"

namespace py = pybind11;
using namespace pyhooks;

namespace {

/// Batches from Python: an object with `batches`, `begin_epoch()`, `next()` (tensors, or None at the end) and
/// `end_epoch()`. The GIL is held for these calls only.
class PythonSource final : public BatchSource {
 public:
  explicit PythonSource(py::object object)
      : object_(std::move(object)), batches_(object_.attr("batches").cast<std::int64_t>()) {}
  ~PythonSource() override {
    Gil gil;
    object_ = py::object();
  }

  std::int64_t batches() const override { return batches_; }

  void begin_epoch() override {
    Gil gil;
    object_.attr("begin_epoch")();
  }

  bool next(Batch& batch) override {
    Gil gil;
    const py::object tensors = object_.attr("next")();
    if (tensors.is_none()) return false;
    batch.tensors = tensors.cast<std::vector<at::Tensor>>();
    batch.samples = batch.tensors[0].size(0);
    return true;
  }

  void end_epoch() override {
    Gil gil;
    object_.attr("end_epoch")();
  }

 private:
  py::object object_;
  std::int64_t batches_;
};

TensorSource::Config config(std::int64_t batch_size, bool shuffle, bool drop_last, bool quiet,
                            std::optional<std::uint64_t> seed) {
  return {.batch_size = batch_size, .shuffle = shuffle, .drop_last = drop_last, .quiet = quiet, .seed = seed};
}

}  // namespace

void bind_data(py::module_& module) {
  py::class_<BatchSource, std::shared_ptr<BatchSource>>(module, "BatchSource", "Where batches come from.")
      .def_property_readonly("batches", &BatchSource::batches)
      .def("begin_epoch",
           [](BatchSource& self) {
             py::gil_scoped_release release;
             self.begin_epoch();
           })
      .def("next",
           [](BatchSource& self) -> std::optional<std::vector<at::Tensor>> {
             Batch batch;
             bool more = false;
             {
               py::gil_scoped_release release;
               more = self.next(batch);
             }
             if (!more) return std::nullopt;
             return std::move(batch.tensors);
           })
      .def("end_epoch", [](BatchSource& self) {
        py::gil_scoped_release release;
        self.end_epoch();
      });
  py::class_<TensorSource, BatchSource, std::shared_ptr<TensorSource>>(module, "TensorSource")
      .def(py::init([](std::vector<at::Tensor> tensors, std::int64_t batch_size, bool shuffle, bool drop_last,
                       bool quiet, std::optional<std::uint64_t> seed) {
             return translated([&] {
               return std::make_shared<TensorSource>(std::move(tensors),
                                                     config(batch_size, shuffle, drop_last, quiet, seed));
             });
           }),
           py::arg("tensors"), py::arg("batch_size"), py::arg("shuffle") = false, py::arg("drop_last") = false,
           py::arg("quiet") = false, py::arg("seed") = py::none())
      .def_property_readonly("batch_bytes", &TensorSource::batch_bytes)
      .def_property(
          "generator_state",
          [](const TensorSource& self) -> std::optional<at::Tensor> {
            at::Tensor state = self.generator_state();
            return state.defined() ? std::optional(state) : std::nullopt;
          },
          &TensorSource::set_generator_state);
  py::class_<PythonSource, BatchSource, std::shared_ptr<PythonSource>>(module, "PythonSource")
      .def(py::init<py::object>(), py::arg("object"));
  py::class_<Prefetch, BatchSource, std::shared_ptr<Prefetch>>(module, "Prefetch")
      .def(py::init([](std::shared_ptr<BatchSource> source, std::function<bool()> allowed, std::size_t depth) {
             // Its thread may wait for the GIL: whoever destroys it must not hold it.
             auto destroy = [](Prefetch* prefetch) {
               if (!PyGILState_Check()) return delete prefetch;
               py::gil_scoped_release release;
               delete prefetch;
             };
             return std::shared_ptr<Prefetch>(new Prefetch(std::move(source), std::move(allowed), depth), destroy);
           }),
           py::arg("source"), py::arg("allowed"), py::arg("depth") = 2);
}
