"""From a traced FX graph to a :class:`~pyhooks.capture.program.Program`."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx

from pyhooks.capture.program import Op, Program, Reg
from pyhooks.capture.source import SOURCE

_ALIASES = ("aten::detach", "aten::alias", "aten::detach_")
_WRITES_UNSAID = ("aten::native_batch_norm", "aten::cudnn_batch_norm", "aten::miopen_batch_norm")
_IGNORED = ("profiler::", "aten::_local_scalar_dense", "aten::sym_constrain_range")
_RNG_STATE = ("pyhooks::get_rng", "pyhooks::set_rng")
_EFFECTS_UNSAID = ("pyhooks::set_rng", "pyhooks::see", "pyhooks::replace")


def schema_name(node: fx.Node) -> str:
    """The operator's name with namespace, as ``aten::addmm``; ``""`` for a node that calls no operator."""
    return node.target._schema.name if isinstance(node.target, torch._ops.OpOverload) else ""


def draws_random(node: fx.Node) -> bool:
    """Whether the node draws random numbers; attention with ``dropout_p=0`` does not, despite its tag."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    if torch.Tag.nondeterministic_seeded not in node.target.tags:
        return False
    names = [argument.name for argument in node.target._schema.arguments]
    given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    return "dropout_p" not in names or bool(given.get("dropout_p", 0.0) != 0.0)


def clean(graph: fx.Graph, attributes: Iterable[fx.Node] = ()) -> None:
    """Drop what only autograd needs and what nobody reads.

    Operators that write into a tensor, draw random numbers, set the generator or call a tensor hook stay.

    Args:
        graph: changed in place.
        attributes: placeholders of tensors that only Python sees unless the step reads them: writes into one
            that nobody reads are dropped.
    """
    if not any(_changes_view(node) for node in graph.nodes):
        for node in list(graph.nodes):
            if schema_name(node) in _ALIASES:
                node.replace_all_uses_with(node.args[0])
                graph.erase_node(node)
    for placeholder in attributes:
        if all(_only_writes(user, placeholder) for user in placeholder.users):
            for user in list(placeholder.users):
                graph.erase_node(user)
    if not any(draws_random(node) for node in graph.nodes):
        _drop(graph, _RNG_STATE)
    for node in reversed(list(graph.nodes)):
        if not node.users and not _must_stay(node):
            graph.erase_node(node)


def lower(module: fx.GraphModule) -> Program:
    """Write a cleaned graph as a flat program.

    Args:
        module: its nodes are placeholders, ``get_attr`` of tensors, calls of ATen operators, ``getitem``, one
            output.

    Returns:
        The program.

    Example:
        >>> module = fx.symbolic_trace(lambda x: torch.ops.aten.relu.default(x))
        >>> lower(module).ops
        [Op(name='aten::relu', overload='', args=[Reg(index=0)], kwargs={}, outs=[1], source='')]
    """
    return _Lowering(module).run()


class _Lowering:
    def __init__(self, module: fx.GraphModule) -> None:
        self._module = module
        self._registers: dict[fx.Node, int] = {}
        self._by_attr: dict[str, int] = {}
        self._n = 0
        self._constants: list[tuple[int, Tensor]] = []
        self._ops: list[Op] = []
        self._outputs: list[int] = []

    def run(self) -> Program:
        nodes = list(self._module.graph.nodes)
        inputs = [node for node in nodes if node.op == "placeholder"]
        for node in inputs:
            self._registers[node] = self._new()
        for node in nodes:
            if node.op == "get_attr":
                self._constant(node)
        for node in nodes:
            if node.op == "call_function" and node.target is not operator.getitem:
                self._op(node)
            elif node.op == "output":
                returned = node.args[0] if isinstance(node.args[0], (list, tuple)) else [node.args[0]]
                self._outputs = [-1 if out is None else self._registers[out] for out in returned]
        return Program(len(inputs), self._n, self._constants, self._ops, self._outputs)

    def _new(self) -> int:
        self._n += 1
        return self._n - 1

    def _constant(self, node: fx.Node) -> None:
        name = str(node.target)
        if name not in self._by_attr:
            self._by_attr[name] = self._new()
            self._constants.append((self._by_attr[name], getattr(self._module, name)))
        self._registers[node] = self._by_attr[name]

    def _op(self, node: fx.Node) -> None:
        schema = node.target._schema  # type: ignore[union-attr]
        args = [self._argument(arg) for arg in node.args]
        kwargs = {key: self._argument(arg) for key, arg in node.kwargs.items()}
        outs = self._outs(node, len(schema.returns))
        self._ops.append(Op(schema.name, schema.overload_name, args, kwargs, outs, node.meta.get(SOURCE, "")))

    def _outs(self, node: fx.Node, n_returns: int) -> list[int]:
        if n_returns == 0:
            return []
        if not is_multiple(node):
            self._registers[node] = self._new() if node.users else -1
            return [self._registers[node]]
        value = node.meta.get("val")
        outs = [-1] * (len(value) if isinstance(value, (list, tuple)) else n_returns)
        for user in node.users:
            index = user.args[1]
            assert isinstance(index, int)
            if outs[index] < 0:
                outs[index] = self._new()
            self._registers[user] = outs[index]
        return outs

    def _argument(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return Reg(self._registers[value])
        if isinstance(value, (list, tuple)):
            return [self._argument(item) for item in value]
        return value


def is_multiple(node: fx.Node) -> bool:
    """Whether the operator returns several tensors: a tuple or a list."""
    returns = node.target._schema.returns  # type: ignore[union-attr]
    return len(returns) > 1 or (len(returns) == 1 and isinstance(returns[0].type, torch.ListType))


def _only_writes(node: fx.Node, target: fx.Node) -> bool:
    return schema_name(node) == "aten::copy_" and node.args[1] is not target and not node.users


def _changes_view(node: fx.Node) -> bool:
    """Whether the node changes a tensor's shape or strides in place, so that aliases must stay separate."""
    tags = node.target.tags if isinstance(node.target, torch._ops.OpOverload) else ()
    return torch.Tag.inplace_view in tags and schema_name(node) not in _ALIASES


def _must_stay(node: fx.Node) -> bool:
    if node.op in ("placeholder", "output"):
        return True
    name = schema_name(node)
    if not name or name.startswith(_IGNORED):
        return False
    schema = node.target._schema  # type: ignore[union-attr]
    return bool(schema.is_mutable) or draws_random(node) or name in (*_WRITES_UNSAID, *_EFFECTS_UNSAID)


def _drop(graph: fx.Graph, names: tuple[str, ...]) -> None:
    for node in reversed(list(graph.nodes)):
        if schema_name(node) in names and not node.users:
            graph.erase_node(node)
