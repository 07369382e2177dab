"""A captured step as plain data: what the C++ executor reads."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from pyhooks.tree import Tree


@dataclasses.dataclass(frozen=True)
class Reg:
    """A register as an argument of an operator.

    Args:
        index: the register's number.
    """

    index: int


@dataclasses.dataclass
class Op:
    """One call of an ATen operator.

    Args:
        name: with namespace, as ``"aten::addmm"``.
        overload: ``""`` for the default one.
        args: positional arguments: Python scalars, None, strings, torch dtypes, devices, layouts and memory
            formats, :class:`Reg`, and lists of these.
        kwargs: the same by the schema's names.
        outs: the register of each result, -1 for one that nobody reads; empty for operators that return
            nothing.
        source: the user's line, as ``"net.py:12 in forward: return self.fc(x)"``; ``""`` if unknown.
    """

    name: str
    overload: str
    args: list[Any]
    kwargs: dict[str, Any]
    outs: list[int]
    source: str = ""


@dataclasses.dataclass
class Program:
    """A flat list of operators over a register file.

    Args:
        n_inputs: registers 0 to n_inputs-1 are parameters, constants and the batch's tensors, in this order.
        n_registers: how many registers there are; each is written once.
        constants: registers filled before the first operator, with their tensors.
        ops: to be run in order.
        outputs: a register each, -1 for None. train: loss, stats, outputs, gradients; eval: loss, stats,
            outputs;
            predict: outputs.

    Example:
        >>> program = Program(1, 2, [], [Op("aten::relu", "", [Reg(0)], {}, [1])], [1])
        >>> program.ops[0].name
        'aten::relu'
    """

    n_inputs: int
    n_registers: int
    constants: list[tuple[int, Tensor]]
    ops: list[Op]
    outputs: list[int]


@dataclasses.dataclass
class Captured:
    """A captured step: the program, the tensors it runs on, and how to read its outputs.

    Args:
        program: what to run.
        parameters: names and tensors of the first inputs.
        constants: names and tensors of the next inputs: frozen parameters, buffers, tensors kept as plain
            attributes.
        grads: for each parameter, whether the program computes a gradient (train mode; else all False).
        n_outputs: how many tensors the model's output holds.
        out_spec: rebuilds the model's output from them.
        draws_random: whether the program draws from the default generator.
        seconds: how long the capture took.
        nodes: how many operators were traced, before cleaning.
    """

    program: Program
    parameters: list[tuple[str, nn.Parameter]]
    constants: list[tuple[str, Tensor]]
    grads: list[bool]
    n_outputs: int
    out_spec: Tree
    draws_random: bool
    seconds: float
    nodes: int


def same_program(a: Program, b: Program) -> bool:
    """Whether two programs compute the same: equal operators, equal constants, equal outputs."""
    if (a.n_inputs, a.n_registers, a.outputs, len(a.constants)) != (
        b.n_inputs,
        b.n_registers,
        b.outputs,
        len(b.constants),
    ):
        return False
    pairs = zip(a.constants, b.constants, strict=True)
    if not all(x[0] == y[0] and (x[1] is y[1] or torch.equal(x[1], y[1])) for x, y in pairs):
        return False
    return a.ops == b.ops
