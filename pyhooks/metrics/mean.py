"""Plain functions as metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from pyhooks.errors import UserStepError
from pyhooks.metrics.base import Metric
from pyhooks.metrics.direction import direction


class MeanMetric(Metric):
    """The mean of a plain function ``(outputs, targets) -> 0-d tensor``; batches count by their rows.

    Args:
        name: the metric's name, for errors and to guess which way is better.
        fn: the function; a mean over the batch's rows.

    Example:
        >>> metric = MeanMetric("mean_output", lambda outputs, targets: outputs.mean())
        >>> metric.stats(torch.tensor([1.0, 3.0]), torch.tensor([0, 0]))
        tensor([4., 2.])
    """

    is_ratio = True

    def __init__(self, name: str, fn: Callable[[Any, Any], Tensor]) -> None:
        self.name = name
        self.fn = fn
        self.higher_is_better = direction(name) != "min"

    def stats(self, outputs: Any, targets: Any) -> Tensor:
        """``[value * rows, rows]``. Raises UserStepError when ``fn`` does not return a 0-d tensor."""
        value = self.fn(outputs, targets)
        if not isinstance(value, Tensor):
            raise UserStepError(
                f"metric {self.name!r} returned {type(value).__name__}, wanted a 0-d tensor; "
                "compute it with torch operations and leave out .item() or float()"
            )
        if value.dim() != 0:
            raise UserStepError(
                f"metric {self.name!r} returned a tensor of shape {list(value.shape)}, wanted a 0-d tensor; "
                "reduce it with .mean(), or derive from pyhooks.metrics.Metric"
            )
        value = value.to(_float_type(value))
        rows = _rows(outputs, targets)
        return torch.stack([value * rows, torch.full_like(value, rows)])


def as_metric(name: str, fn: Metric | Callable[[Any, Any], Tensor]) -> Metric:
    """Whatever the user gave as a metric, as a :class:`Metric`.

    Args:
        name: the name it was given.
        fn: a Metric, or a plain function ``(outputs, targets) -> 0-d tensor``, which becomes a
            :class:`MeanMetric`.

    Raises:
        TypeError: it is neither, or a function that does not take two arguments.

    Example:
        >>> as_metric("spread", lambda outputs, targets: outputs.std()).name
        'spread'
    """
    if isinstance(fn, Metric):
        return fn
    if isinstance(fn, type) and issubclass(fn, Metric):
        raise TypeError(f"metric {name!r} is the class {fn.__name__}, wanted an object of it: {fn.__name__}()")
    if isinstance(fn, type) or not callable(fn):
        raise TypeError(
            f"metric {name!r} is {type(fn).__name__}, wanted a pyhooks.metrics.Metric or a function (outputs, targets)"
        )
    if not _takes_two(fn):
        raise TypeError(
            f"metric {name!r} is a function that cannot be called with (outputs, targets); write one that "
            "can, or call it "
            "first if it makes a metric, as in top_k(5)"
        )
    return MeanMetric(name, fn)


def _takes_two(fn: Callable[..., Any]) -> bool:
    try:
        inspect.signature(fn).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature: let it speak for itself
        return True
    return True


def _float_type(value: Tensor) -> torch.dtype:
    return torch.float64 if value.dtype == torch.float64 else torch.float32


def _rows(outputs: Any, targets: Any) -> int:
    leaves: list[Any] = [*_pytree.tree_leaves(targets), *_pytree.tree_leaves(outputs)]
    return next((leaf.shape[0] for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim() > 0), 1)
