"""Metrics of class scores: accuracy and top-k."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyhooks.errors import UserStepError
from pyhooks.metrics.base import Metric, one_tensor

IGNORED_CLASS = -100  # what torch.nn.functional.cross_entropy leaves out by default


class TopK(Metric):
    """Share of rows whose class is among the ``k`` highest outputs; ``k = 1`` is plain accuracy.

    Outputs are ``[N, C, ...]`` scores and targets ``[N, ...]`` class numbers (any integer type). Targets of
    -100, which ``cross_entropy`` leaves out, are left out here too. With ``k = 1``, outputs ``[N]`` or ``[N,
    1]`` and targets of the same shape are a yes-or-no question answered by a logit: above 0 is yes.

    Args:
        k: how many of the highest outputs count. Default: 1.

    Raises:
        ValueError: ``k`` is not a whole number above 0.
    """

    is_ratio = True

    def __init__(self, k: int = 1) -> None:
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"top_k got k={k!r}, wanted a whole number of at least 1")
        self.k = k
        self.name = "accuracy" if k == 1 else f"top_{k}"

    def stats(self, outputs: Any, targets: Any) -> Tensor:
        """``[hits, rows counted]`` in float32."""
        outputs, targets = (
            one_tensor(self.name, "outputs", outputs),
            one_tensor(self.name, "targets", targets),
        )
        if self.k == 1 and outputs.shape == targets.shape and outputs.dim() in (1, 2) and outputs[0:1].numel() <= 1:
            hits = (outputs > 0) == (targets > 0.5)
            return torch.stack([hits.sum(), hits.new_full((), hits.numel(), dtype=torch.int64)]).float()
        self._check(outputs, targets)
        counted = targets != IGNORED_CLASS
        return torch.stack([self._hits(outputs, targets).sum(), counted.sum()]).float()

    def _hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.k == 1:
            return outputs.argmax(1) == targets
        return (outputs.topk(self.k, dim=1).indices == targets.unsqueeze(1)).any(1)

    def _check(self, outputs: Tensor, targets: Tensor) -> None:
        if targets.is_floating_point() or targets.is_complex():
            raise UserStepError(
                f"metric {self.name!r} got targets of {targets.dtype} and shape {list(targets.shape)}, "
                "wanted class numbers "
                "(int64); for one-hot targets use "
                f"{self.name}.on(lambda outputs, targets: (outputs, targets.argmax(1)))"
            )
        wanted = [outputs.shape[0], *outputs.shape[2:]] if outputs.dim() >= 2 else None
        if wanted is None or list(targets.shape) != wanted:
            raise UserStepError(
                f"metric {self.name!r} got outputs {list(outputs.shape)} and targets {list(targets.shape)}, "
                "wanted outputs "
                f"[N, C, ...] and targets [N, ...]{f' = {wanted}' if wanted else ''}; reshape them, or pick "
                "them with .on(...)"
            )
        if self.k > outputs.shape[1]:
            raise UserStepError(
                f"metric {self.name!r} wants {self.k} classes at least, the outputs have {outputs.shape[1]}"
            )


def top_k(k: int) -> TopK:
    """Share of rows whose class is among the ``k`` highest outputs. See :class:`TopK`.

    Example:
        >>> top_k(2)(torch.tensor([[0.1, 0.2, 0.7]]), torch.tensor([1]))
        tensor(1.)
    """
    return TopK(k)


accuracy = TopK(1)
