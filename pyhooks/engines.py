"""How steps are computed: the captured graph, or Python, and how one gives way to the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pyhooks import _C
from pyhooks.capture import Captured, Verifier, capture
from pyhooks.errors import CaptureError
from pyhooks.metrics import Metric
from pyhooks.modes import Modes
from pyhooks.step import BatchSpec, Step
from pyhooks.tree import Tree

CHOICES = ("auto", "graph", "python")


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
        self._accumulate, self._choice, self._verify = accumulate, choice, verify
        self._verifiers: dict[_C.Plan, tuple[Verifier, int]] = {}
        self._steps: dict[BatchSpec, Step] = {}
        self.spec: Callable[[str], BatchSpec | None] = lambda mode: None
        self.out_spec: Tree | None = None
        self.modes = Modes(self.step_modules())
        self.reason: str | None = None

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
            self._steps[spec] = Step(*self._parts, spec, self._accumulate)
        return self._steps[spec]

    def engine(self) -> _C.StepEngine:
        """Make the engine of the user's choice."""
        return self.python_engine() if self._choice == "python" else _C.GraphEngine(self)

    def python_engine(self) -> _C.StepEngine:
        """Forward and loss through Python."""
        return _C.PythonEngine(self._run, list(self.blank_step().parameters().values()))

    # Called by the native engine (bindings/bind_engines.cpp).

    def capture(self, mode: str, tensors: Sequence[Tensor]) -> Any:
        """The plan for such a batch, or an engine to use instead.

        Returns:
            (plan, fixed tensors, n_stats, n_outputs, draws_random, verify), or an engine.
        """
        step = self.step(mode)
        try:
            with self.modes.inside(mode):
                captured = capture(step, tensors, mode)
            plan = _C.Plan(captured.program)
        except CaptureError as error:
            return self._instead(error, mode)
        self.out_spec = captured.out_spec
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
        with self.modes.inside(mode):
            difference = verifier.check(tensors, run)
        if difference is None:
            if left > 1:
                self._verifiers[plan] = (verifier, left - 1)
            return None
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
            warnings.warn(f"pyhooks trains this model with engine='python' (slower): {error}", stacklevel=2)
        return self.python_engine()

    def _run(
        self, tensors: Sequence[Tensor], mode: str
    ) -> tuple[Tensor | None, Tensor | None, list[Tensor], list[Tensor]]:
        if self.modes.current != mode:
            self.modes.set(mode)
        step = self.step(mode)
        out = step(tensors, mode)
        self.out_spec = out.out_spec
        if out.loss is None:
            return None, None, [], out.outputs
        root = step.backward_loss(out.loss) if mode == "train" else None
        return root, out.loss.detach(), out.stats, out.outputs


def _fixed(captured: Captured) -> list[Tensor]:
    return [tensor for _, tensor in (*captured.parameters, *captured.constants)]


def fingerprint(provider: StepProvider, spec: BatchSpec | None) -> tuple[Any, ...]:
    """What a captured plan has baked in besides the tensors: if it changes, plans are captured anew."""
    modules = [part for module in provider.step_modules() for part in module.modules()]
    named = [
        tensor
        for part in modules
        for tensor in (*part._parameters.values(), *part._buffers.values())
        if tensor is not None
    ]
    tensors = tuple((id(tensor), tensor.requires_grad, tensor.dtype, tuple(tensor.shape)) for tensor in named)
    scalars = tuple(
        (id(part), key, value)
        for part in modules
        for key, value in vars(part).items()
        if key != "training" and isinstance(value, bool | int | float | str)
    )
    return spec, tensors, scalars, provider.modes.signature, torch.is_autocast_enabled("cpu")
