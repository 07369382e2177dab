"""A slow executor of programs in Python, to test capture without the C++ library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyhooks.capture import Captured, Program, Reg
from pyhooks.capture.verify import Results


def run_program(program: Program, inputs: Sequence[Tensor], *, training: bool) -> list[Tensor | None]:
    """Run a program on its inputs; returns its outputs.

    Grad mode is on for programs with a backward pass only: some kernels look at it (``mkldnn_rnn_layer``).
    """
    registers: list[Any] = [None] * program.n_registers
    registers[: program.n_inputs] = inputs
    assert len(inputs) == program.n_inputs
    for index, tensor in program.constants:
        registers[index] = tensor
    with torch.set_grad_enabled(training):
        for op in program.ops:
            result = _overload(op.name, op.overload)(
                *[_value(arg, registers) for arg in op.args],
                **{key: _value(arg, registers) for key, arg in op.kwargs.items()},
            )
            _store(result, op.outs, registers)
    return [None if index < 0 else registers[index] for index in program.outputs]


def run_captured(captured: Captured, batch: Sequence[Tensor], mode: str) -> Results:
    """Run a captured step on the real tensors, as the graph engine does."""
    held = [tensor.detach() for _, tensor in (*captured.parameters, *captured.constants)]
    outputs = run_program(captured.program, [*held, *batch], training=mode == "train")
    first = 0 if mode == "predict" else 1
    loss = outputs[0] if first else None
    n_grads = len(captured.parameters) if mode == "train" else 0
    last = len(outputs) - n_grads
    middle = outputs[first:last]
    stats, values = middle[: len(middle) - captured.n_outputs], middle[len(middle) - captured.n_outputs :]
    return loss, stats, values, outputs[last:]  # type: ignore[return-value]


def _overload(name: str, overload: str) -> Any:
    namespace, _, op = name.partition("::")
    return getattr(getattr(getattr(torch.ops, namespace), op), overload or "default")


def _value(arg: Any, registers: list[Any]) -> Any:
    if isinstance(arg, Reg):
        return registers[arg.index]
    return [_value(item, registers) for item in arg] if isinstance(arg, list) else arg


def _store(result: Any, outs: list[int], registers: list[Any]) -> None:
    values = list(result) if isinstance(result, (tuple, list)) else [] if result is None else [result]
    assert len(values) == len(outs)
    for value, index in zip(values, outs, strict=True):
        if index >= 0:
            assert registers[index] is None
            registers[index] = value
