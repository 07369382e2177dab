"""Capturing a step: trace, check, clean, lower."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence

from torch import Tensor, fx

from pyhooks.capture.checks import PYTHON, check_graph, check_modules
from pyhooks.capture.failures import explain
from pyhooks.capture.lower import clean, draws_random, lower
from pyhooks.capture.program import Captured, Program, same_program
from pyhooks.capture.source import SOURCE
from pyhooks.capture.state import PythonState, watched_generators
from pyhooks.capture.trace import Inputs, Trace, trace
from pyhooks.errors import CaptureError, PyhooksError
from pyhooks.interrupts import deferred_interrupt
from pyhooks.step import MODES, Step

_ONE_AT_A_TIME = threading.RLock()
"""Tracing patches torch for the whole process, so trainers in several threads take turns."""


def capture(step: Step, batch: Sequence[Tensor], mode: str) -> Captured:
    """Capture one step as a program for batches like this one.

    The user's objects and the generators are as before when this returns or raises. Shapes, strides, dtypes,
    Python numbers, ``train()``/``eval()`` and ``requires_grad`` are those of now: when one changes, capture
    again.

    Args:
        step: model, loss and metrics.
        batch: an example; its values do not matter.
        mode: ``"train"``, ``"eval"`` or ``"predict"``.

    Returns:
        The program and what it runs on.

    Raises:
        CaptureError: the step cannot be captured; the message says why, where and what to do.
        UserStepError: the step is wrong for any engine.
        Exception: the step raises this without pyhooks too.

    Example:
        >>> import torch
        >>> from pyhooks.step import BatchSpec
        >>> x, y = torch.zeros(4, 3), torch.zeros(4, 1)
        >>> step = Step(torch.nn.Linear(3, 1), torch.nn.functional.mse_loss, {}, BatchSpec.of(x, y))
        >>> captured = capture(step, [x, y], "train")
        >>> captured.program.n_inputs, captured.grads
        (4, [True, True])
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    started = time.perf_counter()
    check_modules(step)
    state = PythonState([step.model, step.loss, *step.metrics.values()])
    failure: Exception | None = None
    try:
        with deferred_interrupt(), _ONE_AT_A_TIME, watched_generators(state.private_rngs) as moved:
            traced, program = _trace_and_lower(step, batch, state, mode)
    except PyhooksError:
        raise
    except Exception as error:
        failure = error
    if failure is not None:  # not in the handler: the user's own error shall not drag the trace's along
        raise explain(failure, step, batch, mode)
    if moved:
        raise CaptureError(
            f"the step draws from or seeds {' and '.join(moved)} itself: the graph would repeat one choice",
            ways_out=["draw from the default generator (torch.rand and the like), unseeded", PYTHON],
        )
    if mode == "predict" and traced.out_spec.opaque():
        raise CaptureError(
            f"the model returns a {traced.out_spec.opaque()[0]}, whose tensors cannot be found",
            ways_out=["return a tensor, or tuples, lists, dicts or dataclasses of tensors", PYTHON],
        )
    return _captured(traced, program, time.perf_counter() - started)


def _trace_and_lower(step: Step, batch: Sequence[Tensor], state: PythonState, mode: str) -> tuple[Trace, Program]:
    inputs = Inputs.of(step, state, batch)
    traced = trace(step, inputs, state, mode)
    clone_batch = traced.batch_changed
    if clone_batch:  # eager would change a copy that the loader made; a program would change the user's data
        traced = trace(step, inputs, state, mode, clone_batch=True)
    program = _lower(traced)
    if traced.scalars:
        again = _with_scalars(traced, lambda: trace(step, inputs, state, mode, clone_batch=clone_batch))
        _check_scalars(traced, again, program)
    return traced, program


def _lower(traced: Trace) -> Program:
    graph, inputs = traced.graph.graph, traced.inputs
    first = len(inputs.parameters) + len(inputs.constants)
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    attributes = dict(zip(inputs.attributes, placeholders[first:], strict=False))
    traced.nodes = sum(node.op == "call_function" for node in graph.nodes)
    clean(graph, attributes.values())
    known = {id(parameter): name for name, parameter in inputs.parameters.items()}
    check_graph(traced.graph, known)
    _check_attributes(traced, attributes)
    for node in attributes.values():
        if not node.users:
            graph.erase_node(node)
    used = {name: tensor for name, tensor in inputs.attributes.items() if attributes[name].users}
    traced.inputs = dataclasses.replace(inputs, attributes=used)
    return lower(traced.graph)


def _check_attributes(traced: Trace, nodes: dict[str, fx.Node]) -> None:
    for name, node in nodes.items():
        if not node.users:
            continue
        source = str(next(iter(node.users)).meta.get(SOURCE, ""))
        if name in traced.unfit:
            raise CaptureError(
                f"{name} is bound to a tensor of another shape or type in every step, and read in the next",
                source=source,
                ways_out=["give it a fixed shape as a buffer and write with copy_", PYTHON],
            )
        if traced.inputs.attributes[name].requires_grad:
            raise CaptureError(
                f"{name} requires grad but is not a parameter",
                source=source,
                ways_out=["make it an nn.Parameter of its module", PYTHON],
            )


def _with_scalars(traced: Trace, run: Callable[[], Trace]) -> Trace:
    """Trace again from the numbers and flags that the first trace left behind."""
    for place, key, value in traced.scalars.values():
        place.set(key, value)
    return run()


def _check_scalars(traced: Trace, again: Trace, program: Program) -> None:
    """Numbers that a step changes are harmless if the next step neither changes them again nor differs."""
    steady = {label: value for label, (_, _, value) in traced.scalars.items()}
    moved = [label for label, (_, _, value) in again.scalars.items() if steady.get(label, value) != value]
    names = moved or list(traced.scalars)
    if moved or not same_program(_lower(again), program):
        short = names[0].rpartition(".")[2]
        raise CaptureError(
            f"the step changes {', '.join(sorted(names))}, a Python value; the graph would keep that of now",
            ways_out=[
                f"make it a buffer, changed in place: register_buffer({short!r}, torch.zeros(()))",
                "if it changes only in the first call, call the model once before training",
                PYTHON,
            ],
        )


def _captured(traced: Trace, program: Program, seconds: float) -> Captured:
    inputs = traced.inputs
    return Captured(
        program=program,
        parameters=list(inputs.parameters.items()),
        constants=[*inputs.constants.items(), *inputs.attributes.items()],
        grads=traced.grads,
        n_outputs=traced.n_outputs,
        out_spec=traced.out_spec,
        draws_random=any(draws_random(node) for node in traced.graph.graph.nodes),
        seconds=seconds,
        nodes=traced.nodes,
    )
