"""Saying why a capture failed: the user's own error, or what the graph cannot express and where."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch._subclasses import fake_tensor
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from pyhooks.capture.checks import MASK, PYTHON
from pyhooks.capture.shadow import shadow
from pyhooks.capture.source import of_exception
from pyhooks.errors import CaptureError
from pyhooks.step import Step

_BRANCH = "it needs the value of a tensor in Python (a branch, .item(), int() or float())"
_BRANCH_WAYS = [
    "choose with torch.where instead of if",
    "move checks of the data to the loader; give BatchNorm a momentum that is a number",
    PYTHON,
]


def explain(error: Exception, step: Step, batch: Sequence[Tensor], mode: str) -> Exception:
    """What to raise for an error that came out of a trace.

    Args:
        error: what the trace raised.
        step: run once on a copy, eagerly: if it fails there too, the error is the user's own.
        batch: the real batch.
        mode: the step's mode.

    Returns:
        The exception that eager raises, or a :class:`~pyhooks.errors.CaptureError` with reason, operator and
        line.
    """
    own = _eager_error(step, batch, mode)
    if own is not None:
        return own
    reason, op, ways_out = _reason(error)
    refused = CaptureError(reason, op=op, source=of_exception(error.__traceback__), ways_out=ways_out)
    refused.__cause__ = error
    return refused


def _eager_error(step: Step, batch: Sequence[Tensor], mode: str) -> Exception | None:
    try:
        copied = shadow(step)
    except Exception:
        return None  # it cannot be told; the trace's error is all there is
    with contextlib.ExitStack() as stack:
        stack.callback(torch.default_generator.set_state, torch.default_generator.get_state())
        try:
            out = copied([tensor.clone() for tensor in batch], mode)
            if mode == "train" and out.loss is not None:
                parameters = list(copied.parameters().values())
                torch.autograd.grad(copied.backward_loss(out.loss), parameters, allow_unused=True)
        except Exception as error:
            return error
    return None


def _reason(error: Exception) -> tuple[str, str, list[str]]:
    func = getattr(error, "func", None)
    op = func._schema.name if isinstance(func, torch._ops.OpOverload) else ""
    if isinstance(error, (GuardOnDataDependentSymNode, fake_tensor.DataDependentOutputException)):
        return _BRANCH, op, _BRANCH_WAYS
    if isinstance(error, fake_tensor.DynamicOutputShapeException):
        return "it makes a tensor whose size depends on data", op, [MASK, PYTHON]
    if isinstance(error, fake_tensor.UnsupportedOperatorException):
        return (
            "torch cannot tell this operator's result without running it",
            op,
            ["use another operator", PYTHON],
        )
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if ".numpy()" in str(error) or "numpy" in text or "data pointer" in text or "data_ptr" in text:
        return f"it leaves torch for NumPy or C ({text})", op, ["write it with torch operators", PYTHON]
    if "dynamo-optimized" in text:
        return "it calls a function compiled by torch.compile", op, ["call the function itself", PYTHON]
    if "autograd.grad()" in text and "checkpoint" in text.lower():
        return text, op, ["use checkpoint(..., use_reentrant=False)", PYTHON]
    return f"{type(error).__name__}: {text}", op, [PYTHON]
