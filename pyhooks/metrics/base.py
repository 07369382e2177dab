"""What every metric is: statistics of a batch, and the value of their sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyhooks.errors import UserStepError


class Metric:
    """Base of all metrics. Derive from it for a metric that is not a mean over rows.

    Attributes:
        size: length of the statistics vector.
        higher_is_better: which way is better.
        is_ratio: True when ``compute(total)`` is ``total[0] / total[1]``, which the native loop can do by
            itself.

    Example:
        >>> class MaxError(Metric):
        ...     size, higher_is_better, is_ratio = 2, False, True
        ...     def stats(self, outputs, targets):
        ...         worst = (outputs - targets).abs().amax()
        ...         return torch.stack([worst, torch.ones_like(worst)])
        >>> MaxError()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(2.)
    """

    size: int = 2
    higher_is_better: bool = True
    is_ratio: bool = False

    def stats(self, outputs: Any, targets: Any) -> Tensor:
        """The statistics of one batch, a 1-D floating tensor ``[size]``.

        It is traced into the plan: torch operations only, no ``.item()``, no branch on a tensor's values.
        """
        raise NotImplementedError(f"{type(self).__name__} must define stats(outputs, targets) -> Tensor [size]")

    def compute(self, total: Sequence[float]) -> float:
        """The epoch's value from the summed statistics of its batches; NaN when there were no rows."""
        if not self.is_ratio:
            raise NotImplementedError(f"{type(self).__name__} must define compute(total), or set is_ratio = True")
        return float(total[0]) / float(total[1]) if total[1] else float("nan")

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """The value of one batch, a 0-d tensor."""
        stats = self.stats(outputs, targets)
        if self.is_ratio:
            return stats[0] / stats[1]
        return torch.tensor(self.compute(stats.tolist()), dtype=stats.dtype)

    def on(self, select: Callable[[Any, Any], tuple[Any, Any]]) -> Metric:
        """This metric on a part of what the model returns.

        Args:
            select: ``(outputs, targets) -> (outputs, targets)``, say picking the logits out of a dict.

        Example:
            >>> from pyhooks.metrics import accuracy
            >>> metric = accuracy.on(lambda outputs, targets: (outputs["logits"], targets))
            >>> metric({"logits": torch.eye(3)}, torch.tensor([0, 1, 0]))
            tensor(0.6667)
        """
        return _Selected(self, select)


class _Selected(Metric):
    """A metric behind a function that picks its outputs and targets."""

    def __init__(self, inner: Metric, select: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        self.inner = inner
        self.select = select
        self.size = inner.size
        self.higher_is_better = inner.higher_is_better
        self.is_ratio = inner.is_ratio

    def stats(self, outputs: Any, targets: Any) -> Tensor:
        return self.inner.stats(*self.select(outputs, targets))

    def compute(self, total: Sequence[float]) -> float:
        return self.inner.compute(total)


def one_tensor(metric: str, what: str, value: Any) -> Tensor:
    """The value itself, or UserStepError when the model or the data hand over something nested."""
    if isinstance(value, Tensor):
        return value
    raise UserStepError(
        f"metric {metric!r} got {what} of type {type(value).__name__}, wanted one tensor; pick it with "
        f"{metric}.on(lambda outputs, targets: (outputs[...], targets))"
    )
