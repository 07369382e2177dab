"""C functions, built from the installed header alone and loaded with ctypes, at work in a training."""

from __future__ import annotations

import ctypes
import gc
import math
import subprocess
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trainer_helpers import net, points, trainer_of

import pyhooks
from pyhooks import events, paths
from pyhooks.native import CFunction

SOURCE = r"""
#include <math.h>
#include <pyhooks/c_api.h>

/* Notes where training stands: rows of 8 numbers in `user`. */
void look(pyhooks_batch* s, void* user) {
  double* row = (double*)user + 8 * (s->epoch * s->batches + s->batch);
  const pyhooks_view* weight = s->param(s, 0);
  row[0] = (double)s->step;
  row[1] = (double)s->samples;
  row[2] = s->loss(s);
  row[3] = s->lr(s, 0);
  row[4] = (double)weight->sizes[0];
  row[5] = (double)weight->sizes[1];
  row[6] = weight->dtype == PYHOOKS_FLOAT32 ? ((const float*)weight->data)[0] : NAN;
  row[7] = (double)s->num_params(s);
}

/* Scales all gradients by *user. */
void scale(pyhooks_batch* s, void* user) {
  const float factor = *(const float*)user;
  for (int64_t i = 0; i < s->num_params(s); ++i) {
    const pyhooks_view* grad = s->grad(s, i);
    for (int64_t j = 0; j < grad->numel; ++j) ((float*)grad->data)[j] *= factor;
  }
}

/* Counts its calls in its state. */
void count(pyhooks_batch* s, void* user) {
  (void)user;
  s->state[0] += 1;
  if (s->batch >= 0) s->log(s, "count", s->state[0]);
}

void stop(pyhooks_batch* s, void* user) {
  (void)user;
  if (PYHOOKS_HAS(s, request_stop) && s->step == 2) s->request_stop(s, "two steps are enough");
}

void fail(pyhooks_batch* s, void* user) {
  (void)user;
  s->fail(s, "the disk is full");
}

pyhooks_function none = 0;
pyhooks_function pointer = count;
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("c")
    (folder / "callbacks.c").write_text(SOURCE)
    flags = ["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{paths.include_dir()}"]
    done = subprocess.run(
        ["gcc", *flags, "-shared", "-fPIC", "callbacks.c", "-o", "libcallbacks.so"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "libcallbacks.so"


@pytest.fixture
def library(built: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(built))


def trained(*callbacks: Any, **options: Any) -> pyhooks.Trainer:
    trainer = trainer_of(callbacks=list(callbacks), **options)
    trainer.fit(points(24), epochs=2, batch_size=8, shuffle=False)
    return trainer


def test_the_header_is_cpp_too(tmp_path: Path) -> None:
    (tmp_path / "a.cpp").write_text("#include <pyhooks/c_api.h>\nint main() { return sizeof(pyhooks_batch) == 0; }\n")
    flags = ["-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", f"-I{paths.include_dir()}"]
    done = subprocess.run(["g++", *flags, "a.cpp"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_sees_what_the_trainer_sees(library: ctypes.CDLL, engine: str) -> None:
    rows = np.zeros((6, 8))
    trainer = trained(CFunction(library.look, "on_train_batch_start", user_data=rows), engine=engine)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4, 5] and set(rows[:, 1]) == {8}
    assert np.isnan(rows[:, 2]).all() and set(rows[:, 3]) == {0.1}
    assert rows[0, 4:].tolist() == [3, 4, net().weight[0, 0].item(), 2]
    trained(CFunction(library.look, "on_train_batch_end", user_data=rows), engine=engine)
    assert np.array_equal(rows[:, 2], trainer.history.batch["loss"])


def test_changes_gradients(library: ctypes.CDLL, engine: str) -> None:
    scale = CFunction(library.scale, "optimizer_step", user_data=ctypes.c_float(0.5), phase="mutate")
    scaled = trained(scale, engine=engine).model
    half = trained(make_optimizer=lambda p: torch.optim.SGD(p, lr=0.05), engine=engine).model
    assert torch.equal(scaled.weight, half.weight) and torch.equal(scaled.bias, half.bias)


def test_at_every_event(library: ctypes.CDLL) -> None:
    counts = {event: CFunction(library.count, event, state=1) for event in events.KINDS}
    trainer = trainer_of(callbacks=list(counts.values()))
    trainer.fit(points(24), points(8), epochs=2, batch_size=8)
    seen = {event: int(count.state[0]) for event, count in counts.items() if count.state[0]}
    train = ("on_train_batch_start", "on_backward_end", "optimizer_step", "on_params_update", "on_before_zero_grad")
    val = ("on_val_start", "on_val_batch_start", "on_val_batch_end", "on_val_end")
    # what came before on_train_start is forgotten there: each run's state begins with it
    assert seen == {
        **dict.fromkeys(("on_train_start", "on_train_end", "teardown"), 1),
        **dict.fromkeys(("on_train_epoch_start", *val, "on_train_epoch_end", "on_fit_epoch_end"), 2),
        **dict.fromkeys((*train, "on_train_batch_end"), 6),
    }


def test_state_is_its_own_and_saved(library: ctypes.CDLL, tmp_path: Path) -> None:
    def counting() -> Any:
        return CFunction(library.count, "on_train_batch_end", state=[10.0], logs=["count"], name="counting")

    count = counting()
    trainer = trained(count, pyhooks.callbacks.Checkpoint(tmp_path))
    assert trainer.history.batch["count"].tolist() == [11, 12, 13, 14, 15, 16] and trainer.metrics["count"] == 15
    assert count.state.tolist() == [16]
    resumed = trainer_of(callbacks=[again := counting(), pyhooks.callbacks.Checkpoint(tmp_path)])
    resumed.load_checkpoint(tmp_path / "last.safetensors")
    resumed.fit(points(24), epochs=3, batch_size=8)
    assert again.state.tolist() == [19]


def test_a_state_of_another_shape_is_refused(library: ctypes.CDLL, tmp_path: Path) -> None:
    trained(CFunction(library.count, "on_train_batch_end", state=1), pyhooks.callbacks.Checkpoint(tmp_path))
    other = CFunction(library.count, "on_train_batch_end", state=2)
    resumed = trainer_of(callbacks=[other, pyhooks.callbacks.Checkpoint(tmp_path)])
    resumed.load_checkpoint(tmp_path / "last.safetensors")
    with pytest.raises(ValueError, match="the saved state has another shape than the state of this function"):
        resumed.fit(points(24), epochs=3, batch_size=8)


def test_stops_and_fails(library: ctypes.CDLL) -> None:
    trainer = trained(CFunction(library.stop, "on_train_batch_end", phase="vote"))
    assert trainer.stop_reason == "stop: two steps are enough [epoch 0, batch 1]"
    with pytest.raises(
        pyhooks.CallbackError, match=r"the disk is full \(in epoch 0, batch 0, in callback disk at on_b"
    ):
        trained(CFunction(library.fail, "on_backward_end", name="disk"))


def test_pointers_of_all_kinds(library: ctypes.CDLL) -> None:
    address = ctypes.cast(library.count, ctypes.c_void_p)
    typed = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address.value)
    variable = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p).in_dll(library, "pointer")
    for pointer in (library.count, address, address.value, np.uint64(address.value), typed, variable):
        count = CFunction(pointer, "on_train_end", state=1)
        trained(count)
        assert count.state.tolist() == [1]


def test_a_cfunc_of_numba() -> None:
    numba = pytest.importorskip("numba")

    @numba.cfunc("void(voidptr, CPointer(float64))")
    def add(s, user):
        user[0] += 1

    total = np.zeros(1)
    trained(CFunction(add, "on_train_batch_end", user_data=total, name="add"))
    assert total[0] == 6


def test_a_cffi_pointer(built: Path) -> None:
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    ffi.cdef("void scale(void* s, void* user); void count(void* s, void* user);")
    library = ffi.dlopen(str(built))
    zero = ffi.new("float*", 0.0)
    pointer = ffi.addressof(library, "scale")
    trainer = trained(CFunction(pointer, "optimizer_step", user_data=zero, phase="mutate"))
    assert torch.equal(trainer.model.weight, net().weight)


def test_keeps_what_it_needs_alive(library: ctypes.CDLL) -> None:
    factor = ctypes.c_float(0.0)
    alive = weakref.ref(factor)
    trainer = trainer_of()
    trainer.add_callback(CFunction(library.scale, "optimizer_step", user_data=factor, phase="mutate"))
    del factor
    gc.collect()
    trainer.fit(points(24), epochs=1, batch_size=8)
    assert alive() is not None and torch.equal(trainer.model.weight, net().weight)
    del trainer
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    ("pointer", "options", "error", "says"),
    [
        ("count", {}, TypeError, "the C function is a str; wanted a ctypes function"),
        (math.sin, {}, TypeError, "the C function is a builtin_function_or_method"),
        (None, {}, TypeError, "the C function is None"),
        (True, {}, TypeError, "the C function is a bool"),
        (0, {}, ValueError, "the C function's address is null"),
        (ctypes.c_void_p(), {}, ValueError, "the C function's address is null"),
        (1, {"event": "on_step"}, ValueError, "no event 'on_step'"),
        (1, {"phase": "first"}, ValueError, "phase is 'first'"),
        (1, {"user_data": [1.0]}, TypeError, "user_data is a list; wanted a ctypes object"),
        (1, {"state": "two"}, TypeError, "state is 'two'; wanted how many numbers"),
    ],
)
def test_refusals(pointer: Any, options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        CFunction(pointer, **{"event": "on_train_end", **options})


def test_a_pointer_that_was_never_set(library: ctypes.CDLL) -> None:
    never = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p).in_dll(library, "none")
    with pytest.raises(ValueError, match="the C function's address is null"):
        CFunction(never, "on_train_end")


def test_python_behind_a_c_pointer() -> None:
    hidden = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda s, user: None)
    with pytest.raises(TypeError, match=r"it would take the GIL at each call. Python runs between epochs only"):
        CFunction(hidden, "on_train_batch_end")


def test_repr_and_label(library: ctypes.CDLL) -> None:
    count = CFunction(library.count, "on_train_end")
    assert repr(count) == "CFunction('count', 'on_train_end')" and count.label == "count" and count.state is None
