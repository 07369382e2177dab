"""Tracing a step into an FX graph: forward, loss, backward and metrics on fake tensors."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from pyhooks.capture.checks import PYTHON
from pyhooks.capture.rng_ops import traced_rng_state
from pyhooks.capture.source import Recorder
from pyhooks.capture.state import Place, PythonState
from pyhooks.errors import CaptureError, UserStepError
from pyhooks.step import Step
from pyhooks.tree import Tree


@dataclasses.dataclass
class Inputs:
    """The tensors a step reads, in the order of the program's first registers.

    Args:
        parameters: trained parameters by name.
        constants: frozen parameters and buffers by name.
        attributes: other tensors that modules and helper objects keep, by name.
        batch: the batch's tensors.
    """

    parameters: dict[str, nn.Parameter]
    constants: dict[str, Tensor]
    attributes: dict[str, Tensor]
    batch: list[Tensor]

    @classmethod
    def of(cls, step: Step, state: PythonState, batch: Sequence[Tensor]) -> Inputs:
        """Collect them."""
        parameters, constants = step.parameters(), step.constants()
        known = {id(tensor) for tensor in (*parameters.values(), *constants.values(), *batch)}
        return cls(parameters, constants, _attributes(state, known), list(batch))

    def held(self) -> list[Tensor]:
        """What the step keeps between batches."""
        return [*self.parameters.values(), *self.constants.values(), *self.attributes.values()]

    def flat(self) -> list[Tensor]:
        """All of them in order."""
        return [*self.held(), *self.batch]


@dataclasses.dataclass
class Trace:
    """A traced step, not yet cleaned.

    Args:
        graph: the FX graph module.
        inputs: the tensors behind its placeholders.
        grads: whether each parameter has a gradient.
        n_outputs: how many tensors the model's output holds.
        out_spec: rebuilds the model's output.
        batch_changed: whether the step changes its batch in place.
        scalars: Python numbers and flags that the step changed.
        unfit: attributes bound to a tensor that does not fit into the old one, or to something else.
        nodes: how many operators there were before cleaning.
    """

    graph: torch.fx.GraphModule
    inputs: Inputs
    grads: list[bool]
    n_outputs: int
    out_spec: Tree
    batch_changed: bool
    scalars: dict[str, tuple[Place, Any, Any]]
    unfit: set[str]
    nodes: int = 0


def trace(step: Step, inputs: Inputs, state: PythonState, mode: str, *, clone_batch: bool = False) -> Trace:
    """Trace a step once; the user's objects are as before when it returns or raises.

    Args:
        step: what to trace.
        inputs: the tensors that become the graph's inputs.
        state: the step's Python state, to be restored.
        mode: ``"train"``, ``"eval"`` or ``"predict"``.
        clone_batch: let the graph work on a copy of the batch.

    Returns:
        The trace.

    Raises:
        CaptureError: the step keeps state in a way that a graph cannot follow.
        Exception: whatever the user's code or torch raised.
    """
    body = _Body(step, inputs, state, mode, clone_batch)
    recorder = Recorder()
    try:
        with traced_rng_state(), recorder.active(), _quiet():
            graph = make_fx(body, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs.flat())
        scalars = state.changed_scalars()
    finally:
        step.taps.close()
        state.restore()
        recorder.restore()
    assert body.out_spec is not None
    return Trace(graph, inputs, body.grads, body.n_outputs, body.out_spec, body.batch_changed, scalars, body.unfit)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from logging the traceback of an operator that fails: the exception says it all."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Body:
    """The function that ``make_fx`` runs: flat tensors in, flat tensors out."""

    def __init__(self, step: Step, inputs: Inputs, state: PythonState, mode: str, clone_batch: bool) -> None:
        self._step, self._inputs, self._state = step, inputs, state
        self._mode, self._clone = mode, clone_batch
        self.grads: list[bool] = []
        self.n_outputs = 0
        self.out_spec: Tree | None = None
        self.batch_changed = False
        self.unfit: set[str] = set()

    def __call__(self, *flat: Tensor) -> list[Tensor | None]:
        n_parameters, n_batch = len(self._inputs.parameters), len(self._inputs.batch)
        training = self._mode == "train"
        leaves = [tensor.detach().requires_grad_() for tensor in flat[:n_parameters]]
        held = [tensor.detach() for tensor in flat[n_parameters : len(flat) - n_batch]]
        batch = [tensor.clone() if self._clone else tensor.detach() for tensor in flat[len(flat) - n_batch :]]
        versions = [tensor._version for tensor in batch]
        _copy_hooks(self._inputs.parameters, leaves)
        stand_ins = zip(self._inputs.held(), [*leaves, *held], strict=True)
        self._state.replace({id(old): new for old, new in stand_ins})
        with torch.set_grad_enabled(training):
            result = self._run(leaves, held, batch)
        self.batch_changed = any(t._version != v for t, v in zip(batch, versions, strict=True))
        return result

    def _run(self, leaves: list[Tensor], held: list[Tensor], batch: list[Tensor]) -> list[Tensor | None]:
        out = self._step(batch, self._mode)
        self.n_outputs, self.out_spec = len(out.outputs), out.out_spec
        inputs = {_storage(tensor) for tensor in (*leaves, *held, *batch)}
        loss = [] if out.loss is None else [out.loss.detach()]
        values: list[Tensor | None] = [_own(tensor, inputs) for tensor in (*loss, *out.stats, *out.outputs)]
        grads = self._gradients(out.loss, leaves) if self._mode == "train" else []
        self.grads = [grad is not None for grad in grads] if grads else [False] * len(leaves)
        taken = inputs | {_storage(value) for value in values if value is not None}
        owned = [_as_grad(grad, leaf, taken) for grad, leaf in zip(grads, leaves, strict=False)]
        with torch.no_grad():
            self._write_back([*leaves, *held], inputs)
        return [*values, *owned]

    def _gradients(self, loss: Tensor | None, leaves: list[Tensor]) -> list[Tensor | None]:
        assert loss is not None
        start = self._step.backward_loss(loss)
        grads: list[Tensor | None] = list(torch.autograd.grad(start, leaves, allow_unused=True))
        if all(grad is None for grad in grads):
            raise UserStepError(
                "the loss depends on no trainable parameter of the model: check that nothing between the "
                "parameters and the loss calls .detach(), .data or torch.no_grad()"
            )
        if any(leaf.grad is not None for leaf in leaves):
            raise CaptureError(
                "the step calls .backward() itself",
                ways_out=["return the loss and let the trainer call backward", PYTHON],
            )
        return grads

    def _write_back(self, stand_ins: list[Tensor], inputs: set[int]) -> None:
        """What the step bound to a new tensor is written into the old one, as ``copy_`` would have done."""
        names = [*self._inputs.parameters, *self._inputs.constants, *self._inputs.attributes]
        by_original = dict(zip(map(id, self._inputs.held()), zip(names, stand_ins, strict=True), strict=True))
        rebound: dict[str, tuple[Tensor, Tensor]] = {}
        for place, key, original in self._state.tensors():
            name, ours = by_original.get(id(original), ("", original))
            now = _entry(place, key)
            if name and now is not ours and self._may_rebind(name, place.label(key), ours, now):
                rebound[name] = (ours, _own(now.detach(), inputs))
        for old, new in rebound.values():
            old.copy_(new)

    def _may_rebind(self, name: str, label: str, old: Tensor, new: Any) -> bool:
        fits = isinstance(new, Tensor) and _kind(new) == _kind(old)
        if name in self._inputs.attributes and not fits:
            self.unfit.add(name)  # refused if the next step would read it
            return False
        if name in self._inputs.parameters or not fits:
            came = "another tensor" if isinstance(new, Tensor) else type(new).__name__
            raise CaptureError(
                f"{label} is bound to {came} in every step",
                ways_out=[f"change it in place: {label.rpartition('.')[2]}.copy_(new)", PYTHON],
            )
        return True


def _attributes(state: PythonState, known: set[int]) -> dict[str, Tensor]:
    """Tensors in the step's Python state that are neither parameters nor buffers nor the batch."""
    found: dict[str, Tensor] = {}
    for place, key, tensor in state.tensors():
        if id(tensor) in known or type(tensor) is not Tensor:
            continue
        known.add(id(tensor))
        name = label = place.label(key)
        count = 1
        while name in found:
            count += 1
            name = f"{label}#{count}"
        found[name] = tensor
    return found


def _entry(place: Place, key: Any) -> Any:
    try:
        return place.container[key]
    except (KeyError, IndexError, TypeError):
        return None


def _copy_hooks(parameters: Mapping[str, nn.Parameter], leaves: Sequence[Tensor]) -> None:
    """Gradient hooks of a parameter act on its stand-in too."""
    for (name, parameter), leaf in zip(parameters.items(), leaves, strict=True):
        if getattr(parameter, "_post_accumulate_grad_hooks", None):
            raise CaptureError(
                f"parameter {name} has a hook of register_post_accumulate_grad_hook, which works on .grad",
                ways_out=["use register_hook, which sees the gradient itself", PYTHON],
            )
        hooks: Mapping[int, Callable[[Tensor], Tensor | None]] = parameter._backward_hooks or {}
        for hook in hooks.values():
            leaf.register_hook(hook)  # type: ignore[no-untyped-call]


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device


def _storage(tensor: Tensor) -> int:
    """What tensors that share memory have in common; 0 for sparse tensors, which never share."""
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided else 0


def _own(tensor: Tensor, inputs: set[int]) -> Tensor:
    """A tensor that outlives the step: a copy, if it shares memory with an input."""
    return tensor.clone() if _storage(tensor) in inputs - {0} else tensor


def _as_grad(grad: Tensor | None, parameter: Tensor, taken: set[int]) -> Tensor | None:
    """A gradient as autograd leaves it in ``.grad``: with its own memory, and a dense parameter's strides."""
    if grad is None or grad.layout != torch.strided:
        return grad
    grad = grad.detach()
    strides = parameter.stride() if is_dense(parameter) else row_major(grad.shape)
    with torch.no_grad():
        if any(size != 1 and a != b for size, a, b in zip(grad.shape, grad.stride(), strides, strict=True)):
            grad = grad.new_empty_strided(grad.shape, strides).copy_(grad)
        elif _storage(grad) in taken:
            grad = grad.clone()
    taken.add(_storage(grad))
    return grad


def is_dense(tensor: Tensor) -> bool:
    """Whether the elements fill a block of memory, each place once, in whatever order."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def row_major(shape: Sequence[int]) -> list[int]:
    """The strides of a contiguous tensor, sizes of 1 and 0 treated as torch.empty does."""
    strides = [1] * len(shape)
    for index in range(len(shape) - 1, 0, -1):
        strides[index - 1] = strides[index] * max(shape[index], 1)
    return strides
