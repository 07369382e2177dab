"""What must not be in a traced graph, because it would be silently wrong or cannot run."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import torch
from torch import Tensor, fx
from torch.nn.parameter import is_lazy

from pyhooks.capture.lower import is_multiple, schema_name
from pyhooks.capture.source import SOURCE
from pyhooks.errors import CaptureError
from pyhooks.step import Step

PYTHON = 'engine="python" runs the step as it is'
MASK = "write it with a mask: torch.where(mask, x, 0), and divide by mask.sum()"


def check_modules(step: Step) -> None:
    """Refuse modules that cannot be traced through.

    Args:
        step: its model and loss are looked into.

    Raises:
        CaptureError: one is TorchScript, wrapped by ``torch.compile``, or has parameters without a shape yet.
    """
    for root in step.modules():
        for name, module in root.named_modules():
            reason, way = _untraceable(module)
            if reason:
                raise CaptureError(f"{name or type(root).__name__} {reason}", ways_out=[way, PYTHON])


def _untraceable(module: torch.nn.Module) -> tuple[str, str]:
    if isinstance(module, torch.jit.ScriptModule):
        return "is a TorchScript module", "pass the module as it was before torch.jit"
    if hasattr(module, "_orig_mod"):
        return (
            "is wrapped by torch.compile",
            "pass the module itself; the captured graph replaces the compiled one",
        )
    if any(is_lazy(parameter) for parameter in module.parameters(recurse=False)):
        return "has lazy parameters without a shape", "call the model once on a batch before training"
    return "", ""


def check_graph(module: fx.GraphModule, known: Mapping[int, str]) -> None:
    """Refuse what a graph cannot express.

    Args:
        module: the cleaned graph.
        known: names of the step's parameters, by the id of the tensor.

    Raises:
        CaptureError: a frozen parameter, a private generator, a size that depends on data, a call of
        something that is
            no operator, a tensor outside of the model that is changed in place.
    """
    for node in module.graph.nodes:
        if node.op == "get_attr":
            _check_constant(node, getattr(module, str(node.target), None), known)
        elif node.op == "call_function":
            _check_call(node)


def _check_constant(node: fx.Node, value: object, known: Mapping[int, str]) -> None:
    user = next(iter(node.users), node)
    source = _source(user)
    if id(value) in known or isinstance(value, torch.nn.Parameter):
        name = known.get(id(value), "a parameter")
        raise CaptureError(
            f"{name} is used directly, not through its module (from a list kept elsewhere, or it belongs to "
            "no module that is trained): its updates would not be seen",
            source=source,
            ways_out=["reach it through the model (model.parameters(), model.layer.weight)", PYTHON],
        )
    if not isinstance(value, Tensor):
        raise CaptureError(
            f"it uses a {type(value).__name__} that a graph cannot hold (a private torch.Generator?)",
            op=schema_name(user),
            source=source,
            ways_out=["draw from torch's default generator: leave out generator=", PYTHON],
        )
    if value.requires_grad:
        raise CaptureError(
            "a tensor that requires grad is neither a parameter of the model nor of the loss",
            source=source,
            ways_out=["make it an nn.Parameter of a module", PYTHON],
        )
    for user in node.users:
        if _writes(user, node):
            raise CaptureError(
                "a tensor that belongs to neither the model nor the loss is changed in place",
                op=schema_name(user),
                source=_source(user),
                ways_out=["make it a buffer of a module: register_buffer", PYTHON],
            )


def _check_call(node: fx.Node) -> None:
    source = _source(node)
    if node.target is operator.getitem and not _symbolic(node):
        parent = node.args[0]
        if isinstance(parent, fx.Node) and parent.op == "call_function" and schema_name(parent):
            return
    if _symbolic(node) or any(_symbolic(arg) for arg in node.all_input_nodes):
        raise CaptureError(
            "the step makes a tensor whose size depends on data, and uses that size",
            op=_origin_of_size(node),
            source=source,
            ways_out=[MASK, PYTHON],
        )
    if not isinstance(node.target, torch._ops.OpOverload):
        raise CaptureError(f"{node.target} is no ATen operator", source=source, ways_out=[PYTHON])
    if is_multiple(node) and any(user.target is not operator.getitem for user in node.users):
        raise CaptureError(
            "a list of tensors is passed on whole", op=schema_name(node), source=source, ways_out=[PYTHON]
        )


def _symbolic(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool))


def _origin_of_size(node: fx.Node) -> str:
    """The operator whose result has a size known only when it runs."""
    seen: set[fx.Node] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        target = current.target
        if isinstance(target, torch._ops.OpOverload) and torch.Tag.dynamic_output_shape in target.tags:
            return schema_name(current)
        stack.extend(current.all_input_nodes)
    return schema_name(node)


def _writes(user: fx.Node, node: fx.Node) -> bool:
    if not isinstance(user.target, torch._ops.OpOverload):
        return False
    for argument, value in zip(user.target._schema.arguments, user.args, strict=False):
        if value is node and argument.alias_info is not None and argument.alias_info.is_write:
            return True
    return False


def _source(node: fx.Node) -> str:
    return str(node.meta.get(SOURCE, ""))
