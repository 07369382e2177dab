"""Exporting a captured step, for C++ programs that train without Python: what ``pyhooks::load_step`` reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyhooks import _C, checkpoint
from pyhooks.capture import Captured, Verifier, capture
from pyhooks.capture.program import Op, Program, Reg
from pyhooks.capture.trace import is_dense, row_major
from pyhooks.data import Data, make_data
from pyhooks.errors import CaptureError, ExportError
from pyhooks.modes import Modes
from pyhooks.optim import OptimizerBridge, fused_kind, gives_sparse_gradients
from pyhooks.schedule import FIELDS
from pyhooks.wording import kind

if TYPE_CHECKING:
    from pyhooks.trainer import Trainer

FORMAT = 1
_OWN_OPS = ("pyhooks::get_rng", "pyhooks::set_rng")


def export_step(
    trainer: Trainer, path: str | os.PathLike[str], train: Any, val: Any, *, batch_size: int, drop_last: bool
) -> None:
    """Write a trainer's captured steps with all tensors they run on; see ``Trainer.export_step``."""
    _check(trainer)
    data = [("train", _data(train, "train", batch_size, drop_last=drop_last))]
    if val is not None:
        data.append(("eval", _data(val, "val", batch_size, drop_last=False)))
    tensors = _Tensors()
    plans = [plan for mode, source in data for plan in _plans(trainer, mode, source, tensors)]
    step = trainer._provider.blank_step()
    meta = {
        "step_format": FORMAT,
        "torch": str(torch.__version__),
        "parameters": {name: tensors.add(f"parameter.{name}", tensor) for name, tensor in step.parameters().items()},
        "buffers": {name: tensors.add(f"constant.{name}", tensor) for name, tensor in step.buffers().items()},
        "state": _state(trainer, tensors),
        "plans": plans,
        "optimizer": _optimizer(trainer, tensors),
        "metrics": list(trainer._metrics),
        "accumulate": trainer._accumulate,
        "clip_norm": trainer._clip_norm,
        "clip_value": trainer._clip_value,
        "fitness": trainer._fitness_name,
        "strides": tensors.strides,
    }
    checkpoint.save(path, tensors.named, meta)


def _check(trainer: Trainer) -> None:
    """Refuse what a program without Python cannot do."""
    if trainer._engine_choice == "python":
        raise ExportError(
            'the trainer has engine="python": its steps call Python; only a captured step can be exported'
        )
    name = type(trainer._optimizer).__name__
    if fused_kind(trainer._optimizer) is None or gives_sparse_gradients(trainer._provider.step_modules()):
        raise ExportError(
            f"{name} is stepped in Python; a step can be exported with torch.optim.SGD, Adam, AdamW or Adagrad, as "
            "torch made them, and dense gradients"
        )
    if trainer.scheduler is not None:
        what = "the schedule" if trainer._schedule is None else type(trainer.scheduler).__name__
        raise ExportError(
            f"{what} is Python; export the step of a trainer without a scheduler, and set "
            "learning rates in a native callback (ctx.set_lr)"
        )
    for entry in trainer._provider.taps.signature:
        if entry.replaces:
            raise ExportError(
                f"the tensor hook {entry.label} on {entry.pattern!r} replaces tensors in the step, and hooks, as "
                "callbacks, are not exported with it: remove it first (handle.remove())"
            )
    for metric_name, metric in trainer._metrics.items():
        if not metric.is_ratio:
            raise ExportError(
                f"metric {metric_name!r} ({type(metric).__name__}) is computed in Python at the epoch's end; only "
                "metrics that are the quotient of two sums (is_ratio = True) can be exported"
            )


def _data(value: Any, what: str, batch_size: int, *, drop_last: bool) -> Data:
    data = make_data(
        value,
        what,
        batch_size=batch_size,
        drop_last=drop_last,
        training=what == "train",
        draws_random=lambda: True,
    )
    if not data.examples:
        raise ExportError(
            f"{what} is {kind(value)}, whose batches are not known beforehand; wanted tensors (inputs, targets) like "
            "those that the program will train on, with the same number of rows modulo batch_size"
        )
    return data


def _plans(trainer: Trainer, mode: str, data: Data, tensors: _Tensors) -> Iterator[dict[str, Any]]:
    """A plan for each kind of batch, verified against eager as in a ``fit``; what they run on goes to ``tensors``."""
    provider = trainer._provider
    before = provider.modes, provider.spec
    provider.modes, provider.spec = Modes(provider.step_modules()), lambda mode: data.spec()
    try:
        with provider.taps.left_out(), provider.modes.inside(mode):
            step = provider.step(mode)
            for i, batch in enumerate(map(_as_gathered, data.examples)):
                captured = capture(step, batch, mode)
                plan = _plan_to_json(captured, mode, batch, tensors, f"{mode}.{i}")
                _verify(Verifier(step, captured, mode), captured, batch, mode, times=provider._verify)
                yield plan
    finally:
        provider.modes.restore()
        provider.modes, provider.spec = before


def _as_gathered(batch: Sequence[Tensor]) -> list[Tensor]:
    """The batch with the strides that a source of batches gives it."""
    return [torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor) for tensor in batch]


def _verify(verifier: Verifier, captured: Captured, batch: list[Tensor], mode: str, *, times: int) -> None:
    plan = _C.Plan(captured.program)
    held = [tensor for _, tensor in (*captured.parameters, *captured.constants)]
    plan.bind(held)

    def run() -> Any:
        values = plan.run(batch, mode == "train")
        first = 1 + _n_stats(captured, mode)
        last = first + captured.n_outputs
        return values[0], values[1:first], values[first:last], values[last:]

    with _untouched(held):
        for _ in range(times):
            difference = verifier.check(batch, run)
            if difference is not None:
                raise CaptureError(f"the captured step does not compute what eager PyTorch computes: {difference}")


def _n_stats(captured: Captured, mode: str) -> int:
    n_grads = len(captured.grads) if mode == "train" else 0
    return len(captured.program.outputs) - 1 - captured.n_outputs - n_grads


@contextmanager
def _untouched(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Put tensors and the default generator back to what they are now."""
    copies, rng = [tensor.detach().clone() for tensor in tensors], torch.default_generator.get_state()
    try:
        yield
    finally:
        for tensor, copy in zip(tensors, copies, strict=True):
            tensor.data.copy_(copy)
        torch.default_generator.set_state(rng)


class _Tensors:
    """What is written: each tensor once, by name.

    Attributes:
        named: name to tensor.
        strides: of those that are not contiguous.
    """

    def __init__(self) -> None:
        self.named: dict[str, Tensor] = {}
        self.strides: dict[str, list[int]] = {}
        self._names: dict[int, str] = {}
        self._storages: dict[int, str] = {}

    def add(self, name: str, tensor: Tensor) -> str:
        """Add a tensor if it is new; returns the name it has in the file."""
        if id(tensor) in self._names:
            return self._names[id(tensor)]
        while name in self.named:
            name += "'"
        self._check(name, tensor)
        self._names[id(tensor)], self.named[name] = name, tensor
        if list(tensor.stride()) != row_major(tensor.shape):
            self.strides[name] = list(tensor.stride())
        return name

    def _check(self, name: str, tensor: Tensor) -> None:
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise ExportError(
                f"{name} is {tensor.layout} on {tensor.device}; only dense tensors on the CPU are exported"
            )
        if tensor.numel() and not is_dense(tensor):
            raise ExportError(f"{name} has gaps or overlaps in memory (strides {tensor.stride()}): make it contiguous")
        other = self._storages.setdefault(tensor.untyped_storage()._cdata, name)
        if other != name and tensor.numel():
            raise ExportError(f"{name} and {other} share memory, which a file cannot keep: copy one of them")


def _plan_to_json(
    captured: Captured, mode: str, batch: Sequence[Tensor], tensors: _Tensors, name: str
) -> dict[str, Any]:
    fixed = [tensors.add(f"parameter.{key}", tensor) for key, tensor in captured.parameters]
    fixed += [tensors.add(f"constant.{key}", tensor) for key, tensor in captured.constants]
    return {
        "mode": mode,
        "batch": [{"dtype": _short(tensor.dtype), "shape": list(tensor.shape)} for tensor in batch],
        "program": _program_to_json(captured.program, tensors, name),
        "fixed": fixed,
        "n_stats": _n_stats(captured, mode),
        "n_outputs": captured.n_outputs,
        "draws_random": captured.draws_random,
    }


def _program_to_json(program: Program, tensors: _Tensors, name: str) -> dict[str, Any]:
    return {
        "n_inputs": program.n_inputs,
        "n_registers": program.n_registers,
        "constants": [[index, tensors.add(f"{name}.constant.{index}", tensor)] for index, tensor in program.constants],
        "ops": [_op_to_json(op) for op in program.ops],
        "outputs": program.outputs,
    }


def _op_to_json(op: Op) -> dict[str, Any]:
    if op.name.startswith("pyhooks::") and op.name not in _OWN_OPS:
        raise ExportError(
            f"the captured step calls {op.name}, which is of this process: remove the trainer's hooks first"
        )
    return {
        "name": op.name,
        "overload": op.overload,
        "args": [_argument(arg) for arg in op.args],
        "kwargs": {key: _argument(arg) for key, arg in op.kwargs.items()},
        "outs": op.outs,
        "source": op.source,
    }


_SPECIAL: dict[type, tuple[str, Callable[[Any], Any]]] = {
    Reg: ("reg", lambda reg: reg.index),
    torch.dtype: ("dtype", lambda dtype: _short(dtype)),
    torch.layout: ("layout", lambda layout: _short(layout)),
    torch.memory_format: ("memory_format", lambda memory_format: _short(memory_format)),
    torch.device: ("device", str),
    complex: ("complex", lambda value: [value.real, value.imag]),
}


def _argument(value: Any) -> Any:
    """JSON for an operator's argument: csrc/engines/program_json.cpp reads it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_argument(item) for item in value]
    if type(value) not in _SPECIAL:
        raise ExportError(f"the captured step holds an argument of type {type(value).__name__}")
    word, convert = _SPECIAL[type(value)]
    return {word: convert(value)}


def _short(value: Any) -> str:
    return str(value).removeprefix("torch.")


def _state(trainer: Trainer, tensors: _Tensors) -> dict[str, str]:
    """For each entry of the model's state_dict, as a checkpoint names it, the name of its tensor in the file."""
    state = {}
    for prefix, module in zip(("model", "loss"), trainer._provider.step_modules(), strict=False):
        for name, value in module.state_dict(keep_vars=True).items():
            if not isinstance(value, Tensor):
                raise ExportError(f"the {prefix}'s {name} is kept by get_extra_state, in Python")
            state[f"{prefix}.{name}"] = tensors.add(f"constant.{prefix}.{name}", value)
    return state


def _optimizer(trainer: Trainer, tensors: _Tensors) -> dict[str, Any]:
    optimizer = trainer.optimizer  # brought up to date
    parameters = trainer._provider.blank_step().parameters()
    bridge = OptimizerBridge(optimizer, parameters)
    for i, parameter in enumerate(parameters.values()):
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors.add(f"optimizer.{i}.{key}", value)
    return {
        "name": fused_kind(optimizer),
        "class": type(optimizer).__name__,
        "groups": [_group(bridge._group(group)) for group in optimizer.param_groups],
    }


def _group(group: dict[str, Any]) -> dict[str, Any]:
    others = {key: value for key, value in group.items() if key not in ("params", "hyper")}
    hyper = {key: value for key, value in zip(FIELDS, group["hyper"], strict=True) if value == value}  # not NaN
    return {"params": group["params"], "options": {**hyper, **others}}
