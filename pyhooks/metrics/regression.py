"""Metrics of real-valued outputs: mean errors and the coefficient of determination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from pyhooks.errors import UserStepError
from pyhooks.metrics.base import Metric, one_tensor


class MeanError(Metric):
    """Mean over all elements of a power of the error: ``mae`` (power 1) and ``mse`` (power 2).

    Outputs and targets are real tensors of one shape; ``[N, 1]`` beside ``[N]`` is refused, as it would be
    broadcast to ``[N, N]``.

    Args:
        name: the metric's name, for errors.
        power: 1 or 2.
    """

    higher_is_better = False
    is_ratio = True

    def __init__(self, name: str, power: Literal[1, 2]) -> None:
        self.name = name
        self.power = power

    def stats(self, outputs: Any, targets: Any) -> Tensor:
        """``[summed error, elements]``, in float32, or float64 when the error is."""
        error = _difference(self.name, outputs, targets)
        error = error.abs() if self.power == 1 else error.square()
        return torch.stack([error.sum(), error.new_full((), error.numel())])


class R2(Metric):
    """Coefficient of determination, 1 for a perfect fit and 0 for always answering the mean.

    Several columns are scored one by one and averaged, as scikit-learn does. A constant target scores 1 when
    it is met exactly and 0 otherwise; fewer than two rows score NaN.

    Args:
        columns: columns of the targets: ``[N]`` or ``[N, 1]`` for 1 (default), ``[N, columns]`` otherwise.

    Raises:
        ValueError: ``columns`` is not a whole number above 0.
    """

    def __init__(self, columns: int = 1) -> None:
        if not isinstance(columns, int) or isinstance(columns, bool) or columns < 1:
            raise ValueError(f"R2 got columns={columns!r}, wanted a whole number of at least 1")
        self.columns = columns
        self.size = 3 * columns + 1

    def stats(self, outputs: Any, targets: Any) -> Tensor:
        """Float64 ``[3 * columns + 1]``: each column's squared errors, targets, squared targets; the rows."""
        error = _difference("r2", outputs, targets)
        columns = targets.numel() // max(targets.shape[0], 1) if targets.dim() else 0
        if columns != self.columns:
            raise UserStepError(
                f"metric 'r2' got targets {list(targets.shape)}, wanted {self.columns} column(s); "
                f"use pyhooks.metrics.R2(columns={columns})"
            )
        error, target = error.double().reshape(-1, columns), targets.double().reshape(-1, columns)
        rows = target.new_full((1,), target.shape[0])
        return torch.cat([error.square().sum(0), target.sum(0), target.square().sum(0), rows])

    def compute(self, total: Sequence[float]) -> float:
        """The mean over columns of ``1 - squared error / squared deviation from the mean``."""
        n, rows = self.columns, float(total[3 * self.columns])
        if rows < 2:
            return float("nan")
        sums = zip(total[:n], total[n : 2 * n], total[2 * n : 3 * n], strict=True)
        return sum(_r2(float(error), float(linear), float(square), rows) for error, linear, square in sums) / n


def _r2(error: float, linear: float, square: float, rows: float) -> float:
    deviation = square - linear * linear / rows
    if deviation <= 1e-14 * square:  # nothing but rounding is left: the target is constant
        return 1.0 if error == 0.0 else 0.0
    return 1.0 - error / deviation


def _difference(metric: str, outputs: Any, targets: Any) -> Tensor:
    outputs, targets = one_tensor(metric, "outputs", outputs), one_tensor(metric, "targets", targets)
    if outputs.shape != targets.shape:
        raise UserStepError(
            f"metric {metric!r} got outputs {list(outputs.shape)} and targets {list(targets.shape)}, wanted "
            "one shape; "
            "reshape one of them (say targets.unsqueeze(1)), or pick them with .on(...)"
        )
    double = torch.float64 in (outputs.dtype, targets.dtype)
    error: Tensor = outputs.to(torch.float64 if double else torch.float32) - targets
    return error


mae = MeanError("mae", 1)
mse = MeanError("mse", 2)
r2 = R2()
