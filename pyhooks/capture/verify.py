"""Comparing a captured program with eager PyTorch, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pyhooks.capture.program import Captured
from pyhooks.capture.shadow import shadow
from pyhooks.capture.state import PythonState
from pyhooks.capture.trace import Inputs
from pyhooks.step import Step

Results = tuple[Tensor | None, Sequence[Tensor], Sequence[Tensor], Sequence[Tensor | None]]


class Verifier:
    """Checks a program against eager on a copy of the model that lives through several batches.

    Tensors are brought up to date before each batch; what the step keeps in Python is left to itself, so that
    a counter that the program does not count shows at the second batch.

    Args:
        step: the user's step.
        captured: what :func:`~pyhooks.capture.capture` made of it.
        mode: the mode it was captured in.

    Example:
        >>> verifier = Verifier(step, captured, "train")          # doctest: +SKIP
        >>> verifier.check(batch, lambda: run_program(batch))     # doctest: +SKIP
    """

    def __init__(self, step: Step, captured: Captured, mode: str) -> None:
        self._step, self._captured, self._mode = step, captured, mode
        self._shadow: Step | None = None
        self._checked = 0

    def check(self, batch: Sequence[Tensor], run: Callable[[], Results]) -> str | None:
        """Run eager on the copy and the program on the real tensors, and compare.

        Args:
            batch: the real batch.
            run: runs the program on it once; returns loss, statistics, outputs and gradients.

        Returns:
            None if everything is equal bit for bit (NaN equals NaN). Else which value differs; the model's
            tensors and the generator are then as before.

        Raises:
            Exception: whatever the step raises in eager mode.
        """
        self._checked += 1
        try:
            self._shadow = self._shadow or shadow(self._step)
        except Exception as error:
            return f"the model cannot be copied to verify the plan ({error}); verify=0 trusts the plan"
        real = [*self._captured.parameters, *self._captured.constants]
        self._synchronise(self._shadow, real)
        start = torch.default_generator.get_state()
        expected = self._eager(self._shadow, batch)
        expected_rng = torch.default_generator.get_state()
        backup = [tensor.detach().clone() for _, tensor in real]
        torch.default_generator.set_state(start)
        found = run()
        same_rng = torch.equal(torch.default_generator.get_state(), expected_rng)
        reason = self._compare(expected, found, real, same_rng)
        if reason is None:
            return None
        for (_, tensor), old in zip(real, backup, strict=True):
            tensor.data.copy_(old)
        torch.default_generator.set_state(start)
        return f"{reason} on batch {self._checked}"

    def close(self) -> None:
        """Free the copy."""
        self._shadow = None

    def _synchronise(self, copied: Step, real: Sequence[tuple[str, Tensor]]) -> None:
        held = _tensors(copied)
        for name, tensor in real:
            target = held.get(name)
            if target is not None and target.shape == tensor.shape:
                target.data.copy_(tensor.detach())

    def _eager(self, copied: Step, batch: Sequence[Tensor]) -> Results:
        out = copied([tensor.detach().clone() for tensor in batch], self._mode)
        grads: list[Tensor | None] = []
        if self._mode == "train":
            assert out.loss is not None
            parameters = copied.parameters()
            for parameter in parameters.values():
                parameter.grad = None
            copied.backward_loss(out.loss).backward()  # type: ignore[no-untyped-call]
            grads = [parameters[name].grad for name, _ in self._captured.parameters]
        return None if out.loss is None else out.loss.detach(), out.stats, out.outputs, grads

    def _compare(
        self, expected: Results, found: Results, real: Sequence[tuple[str, Tensor]], same_rng: bool
    ) -> str | None:
        for name, theirs, ours in self._pairs(expected, found):
            reason = difference(theirs, ours)
            if reason:
                return f"{name} differs from eager ({reason})"
        held = _tensors(self._shadow) if self._shadow else {}
        for name, tensor in real:
            reason = difference(held[name].detach(), tensor.detach()) if name in held else ""
            if reason:
                return f"{name} after the step differs from eager ({reason})"
        return None if same_rng else "the random numbers drawn differ from eager"

    def _pairs(self, expected: Results, found: Results) -> Iterator[tuple[str, Tensor | None, Tensor | None]]:
        yield "the loss", expected[0], found[0]
        for metric, theirs, ours in zip(self._step.metrics, expected[1], found[1], strict=False):
            yield f"metric {metric}", theirs, ours
        for index, (theirs, ours) in enumerate(zip(expected[2], found[2], strict=True)):
            yield f"output {index}", theirs, ours
        for (name, _), grad, ours_grad in zip(self._captured.parameters, expected[3], found[3], strict=False):
            yield f"the gradient of {name}", grad, ours_grad


def difference(expected: Tensor | None, found: Tensor | None) -> str:
    """Say how two tensors differ; ``""`` if they are equal bit for bit (any NaN equals any NaN).

    Args:
        expected: eager's value.
        found: the program's value.

    Returns:
        A few words for a message.

    Example:
        >>> difference(torch.zeros(2), torch.tensor([0.0, 0.5]))
        'max abs 0.5'
    """
    if expected is None or found is None:
        return "" if expected is found else f"eager has {_kind(expected)}, the plan {_kind(found)}"
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        return f"eager has {_kind(expected)}, the plan {_kind(found)}"
    if expected.layout != torch.strided:
        expected, found = expected.to_dense(), found.to_dense()
    if expected.is_complex():
        expected, found = torch.view_as_real(expected), torch.view_as_real(found)
    same = expected == found
    if expected.dtype.is_floating_point:
        same &= expected.signbit() == found.signbit()
        same |= expected.isnan() & found.isnan()
    if bool(same.all()):
        return ""
    return f"max abs {(expected.double() - found.double()).abs().max().item():.3g}"


def _kind(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _tensors(step: Step) -> dict[str, Tensor]:
    """Everything a step holds, by the names that a capture gives."""
    inputs = Inputs.of(step, PythonState([step.model, step.loss, *step.metrics.values()]), [])
    return {**inputs.parameters, **inputs.constants, **inputs.attributes}
