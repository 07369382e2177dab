"""Native callbacks that average what they see."""

from __future__ import annotations

from pyhooks.native.base import BuiltIn

__all__ = ["LossMeter"]


class LossMeter(BuiltIn):
    """Logs an exponential moving average of the loss for every batch.

    It appears as a column of ``trainer.history.batch`` and, averaged over the epoch, in ``trainer.metrics``.

    Args:
        decay: how much of the average each batch keeps, in [0, 1). Default: 0.98.
        name: of the column and the metric. Default: "loss_ema".

    Raises:
        ValueError: the decay is out of range.

    Example:
        >>> LossMeter(decay=0.9)
        LossMeter(decay=0.9, name='loss_ema')
    """

    registry_name = "loss_meter"

    def __init__(self, decay: float = 0.98, name: str = "loss_ema") -> None:
        super().__init__(self.registry_name, decay=decay, name=name)
