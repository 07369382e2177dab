"""How steps are computed: the captured graph, or Python, and how one gives way to the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pyhooks import _C
from pyhooks.capture import Captured, Verifier, capture
from pyhooks.errors import CaptureError
from pyhooks.fingerprint import Snapshot
from pyhooks.metrics import Metric
from pyhooks.modes import Modes
from pyhooks.step import BatchSpec, Step
from pyhooks.taps import Taps
from pyhooks.tree import Tree
from pyhooks.warn import warn_user

CHOICES = ("auto", "graph", "python")
_ABOUT_DTYPES = re.compile("dtype|scalar type", re.IGNORECASE)


class StepProvider:
    """Gives the native graph engine its plans, and the python engine where there can be none.

    Args:
        model: the user's model.
        loss: the user's loss.
        metrics: by name.
        accumulate: batches an optimizer step.
        choice: "auto", "graph" or "python".
        verify: how many first batches of each plan to compare with eager.

    Attributes:
        spec: how a batch of a mode is rebuilt; set before the first step.
        modes: switches the model's training flags.
        taps: the tensor hooks on the model.
        reason: why the python engine is used; None while it is not.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        metrics: Mapping[str, Metric],
        accumulate: int,
        choice: str,
        verify: int,
    ) -> None:
        self._parts = (model, loss, metrics)
        self.taps = Taps()
        self._accumulate, self._choice, self._verify = accumulate, choice, verify
        self._verifiers: dict[_C.Plan, tuple[Verifier, int]] = {}
        self._steps: dict[BatchSpec, Step] = {}
        self.spec: Callable[[str], BatchSpec | None] = lambda mode: None
        self._out_specs: dict[tuple[Any, ...], Tree] = {}
        self.modes = Modes(self.step_modules())
        self.reason: str | None = None

    @property
    def parts(self) -> tuple[nn.Module, Callable[[Any, Any], Tensor]]:
        """The user's model and loss."""
        return self._parts[0], self._parts[1]

    def step_modules(self) -> list[nn.Module]:
        """The model, and the loss if it is a module."""
        return self.blank_step().modules()

    def blank_step(self) -> Step:
        """A step whose batches are unknown: good for asking about parameters and modules."""
        return Step(*self._parts, BatchSpec.of(None), self._accumulate)

    def step(self, mode: str) -> Step:
        """The step for the batches in hand."""
        spec = self.spec(mode)
        assert spec is not None, "a step was asked for before any batch was seen"
        if spec not in self._steps:
            self._steps[spec] = Step(*self._parts, spec, self._accumulate, self.taps)
        return self._steps[spec]

    def snapshot(self) -> Snapshot:
        """The Python values that the step reads, as they are now."""
        self.taps.close()  # tensor hooks are no part of the model
        model, loss, metrics = self._parts
        return Snapshot([model, loss, *metrics.values()])

    def engine(self) -> _C.StepEngine:
        """Make the engine of the user's choice."""
        return self.python_engine() if self._choice == "python" else _C.GraphEngine(self)

    def python_engine(self) -> _C.StepEngine:
        """Forward and loss through Python."""
        return _C.PythonEngine(self._run, list(self.blank_step().parameters().values()))

    def out_spec(self, tensors: Sequence[Tensor]) -> Tree:
        """How the model's output for such a batch was built, the last time it was predicted."""
        return self._out_specs[_signature(tensors)]

    # Called by the native engine (bindings/bind_engines.cpp).

    def capture(self, mode: str, tensors: Sequence[Tensor]) -> Any:
        """The plan for such a batch, or an engine to use instead.

        Returns:
            (plan, fixed tensors, n_stats, n_outputs, draws_random, verify), or an engine.
        """
        step = self.step(mode)
        try:
            with self.modes.inside(mode), self._explained(mode, tensors):
                captured = capture(step, tensors, mode)
            plan = _C.Plan(captured.program)
        except CaptureError as error:
            return self._instead(error, mode)
        if mode == "predict":
            self._out_specs[_signature(tensors)] = captured.out_spec
        if self._verify:
            self._verifiers[plan] = (Verifier(step, captured, mode), self._verify)
        return (
            plan,
            _fixed(captured),
            len(step.metrics) if mode != "predict" else 0,
            captured.n_outputs,
            captured.draws_random,
            self._verify,
        )

    def verify(
        self, mode: str, plan: _C.Plan, tensors: Sequence[Tensor], run: Callable[[], Any]
    ) -> _C.StepEngine | None:
        """Run a plan beside eager; None if they agree, else the engine to use instead."""
        verifier, left = self._verifiers.pop(plan)
        if left > 1:
            self._verifiers[plan] = (verifier, left - 1)
        with self.modes.inside(mode), self._explained(mode, tensors):
            difference = verifier.check(tensors, run)
        if difference is None:
            return None
        self._verifiers.pop(plan, None)
        reason = f"the captured step does not compute what eager PyTorch computes: {difference}"
        return self._instead(
            CaptureError(
                reason,
                ways_out=[
                    'engine="python" trains it step by step',
                    "keep state that changes from step to step in buffers, changed in place",
                ],
            ),
            mode,
        )

    def _instead(self, error: CaptureError, mode: str) -> _C.StepEngine:
        if self._choice == "graph":
            raise error
        if self.reason is None:
            self.reason = str(error)
            steps = "training" if mode == "train" else "evaluation"
            warn_user(f"pyhooks runs this model's {steps} steps with engine='python', which is slower: {error}")
        return self.python_engine()

    @contextmanager
    def _explained(self, mode: str, tensors: Sequence[Tensor]) -> Iterator[None]:
        """Add to torch's errors about mixed dtypes which tensors have which."""
        try:
            yield
        except Exception as error:
            if _ABOUT_DTYPES.search(str(error)) and hasattr(error, "add_note"):  # Python 3.11
                error.add_note(self._dtypes(mode, tensors))
            raise

    def _dtypes(self, mode: str, tensors: Sequence[Tensor]) -> str:
        n = self.step(mode).spec.n_inputs
        parameters = self.blank_step().parameters().values()
        return (
            f"pyhooks: the inputs are {_dtype_names(tensors[:n])}, the targets {_dtype_names(tensors[n:])}, the "
            f"model's parameters {_dtype_names(parameters)}: convert the data, as x.float() or "
            "array.astype('float32'), or the model, as model.double()"
        )

    def _run(
        self, tensors: Sequence[Tensor], mode: str
    ) -> tuple[Tensor | None, Tensor | None, list[Tensor], list[Tensor]]:
        if (self.modes.current == "train") != (mode == "train"):
            with self.modes.inside(mode):  # callbacks between batches see the model in training mode
                return self._run(tensors, mode)
        step = self.step(mode)
        with self._explained(mode, tensors):
            out = step(tensors, mode)
        if mode == "predict":
            self._out_specs[_signature(tensors)] = out.out_spec
        if out.loss is None:
            return None, None, [], out.outputs
        root = step.backward_loss(out.loss) if mode == "train" else None
        return root, out.loss.detach(), out.stats, out.outputs


def _fixed(captured: Captured) -> list[Tensor]:
    return [tensor for _, tensor in (*captured.parameters, *captured.constants)]


def _dtype_names(tensors: Iterable[Tensor]) -> str:
    return ", ".join(dict.fromkeys(str(tensor.dtype).removeprefix("torch.") for tensor in tensors)) or "none"


def fingerprint(provider: StepProvider, train: BatchSpec | None, val: BatchSpec | None) -> tuple[Any, ...]:
    """What a captured plan has baked in besides the tensors' values: if it changes, plans are captured anew."""
    return (
        train,
        val,
        provider.snapshot(),
        provider.modes.signature,
        provider.taps.signature,
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
    )


def _signature(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    return tuple((tuple(tensor.shape), tensor.stride(), tensor.dtype) for tensor in tensors)
