"""Stop when a metric no longer gets better."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from pyhooks.callbacks.monitor import Monitor
from pyhooks.callbacks.protocol import TrainerLike


class EarlyStopping(Monitor):
    """Stop the run when a metric has not got better for ``patience`` epochs.

    Args:
        monitor: the metric. Default: "val/loss".
        mode: "min" or "max" is better; "auto" (default) tells by the name.
        patience: epochs without a better value before the stop, at least 1. Default: 5.
        min_delta: how much better counts as better. Default: 0.
        restore_best: at the end, however it comes about except by an exception, put the best epoch's weights
            and buffers back into the model. Costs one copy of the model. Default: False.

    Raises:
        ValueError: ``patience`` is below 1; and whatever :class:`Monitor` refuses.

    Attributes:
        wait: epochs since the best value.
        stopped_epoch: the epoch it voted in, from 0, or None.

    Example:
        >>> stopper = EarlyStopping("val/accuracy", patience=3, restore_best=True)
        >>> stopper.mode
        'max'
    """

    phase: ClassVar[Literal["vote"]] = "vote"

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: Literal["auto", "min", "max"] = "auto",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = False,
    ) -> None:
        if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
            raise ValueError(f"EarlyStopping got patience={patience!r}, wanted a whole number of epochs, at least 1")
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.restore_best = restore_best
        self.wait = 0
        self.stopped_epoch: int | None = None
        self._weights: dict[str, Tensor] = {}

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        self.wait = 0
        self.stopped_epoch = None
        self._weights = {}

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Count the epochs without a better value, and vote."""
        if self.update(trainer):
            self.wait = 0
            self._keep(trainer)
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = trainer.epoch
            trainer.request_stop(self._reason(trainer))

    def on_train_end(self, trainer: TrainerLike) -> None:
        """Put the best weights back."""
        self._put_back(trainer)

    def on_interrupt(self, trainer: TrainerLike) -> None:
        """Put the best weights back after Ctrl-C, too."""
        self._put_back(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Best value, epochs waited, and with ``restore_best`` the best weights."""
        return {**super().state_dict(), "wait": self.wait, "weights": dict(self._weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.wait = state["wait"]
        self.stopped_epoch = None
        self._weights = dict(state["weights"])

    def _reason(self, trainer: TrainerLike) -> str:
        if self.best is None or self.best_epoch is None:
            return f"{self.monitor} was never a number in {self.wait} epochs"
        return (
            f"{self.monitor} has not got better for {self.wait} epoch{'s' * (self.wait != 1)} "
            f"(best {self.best:.6g} in epoch {self.best_epoch + 1}, now {self.value(trainer):.6g})"
        )

    def _keep(self, trainer: TrainerLike) -> None:
        if not self.restore_best:
            return
        now = _tensors(trainer)
        if self._weights.keys() != now.keys():
            self._weights = {name: torch.empty_like(tensor) for name, tensor in now.items()}
        for name, tensor in now.items():
            self._weights[name].copy_(tensor)

    def _put_back(self, trainer: TrainerLike) -> None:
        if not (self.restore_best and self._weights):
            return
        for name, tensor in _tensors(trainer).items():
            tensor.copy_(self._weights[name])


def _tensors(trainer: TrainerLike) -> dict[str, Tensor]:
    """The model's parameters and buffers themselves, detached."""
    state = trainer.model.state_dict()
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
