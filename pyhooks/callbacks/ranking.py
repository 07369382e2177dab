"""The best checkpoints by one metric."""

from __future__ import annotations

from typing import Any, Literal

from pyhooks.callbacks.monitor import Monitor
from pyhooks.callbacks.protocol import TrainerLike


class Ranking(Monitor):
    """Keeps the names of the ``size`` best checkpoints by a metric, best first.

    Args:
        monitor, mode, strict: as of :class:`Monitor`.
        size: how many; None: all. Default: 1.

    Attributes:
        entries: ``[value, name]`` of each.

    Example:
        >>> ranking = Ranking("val/loss", size=2)
        >>> for value, name in ((0.5, "a"), (0.9, "b"), (0.7, "c")):
        ...     if ranking.enters(value):
        ...         ranking.add(value, name)
        >>> ranking.entries
        [[0.5, 'a'], [0.7, 'c']]
    """

    def __init__(
        self,
        monitor: str | None = "val/loss",
        mode: Literal["auto", "min", "max"] = "auto",
        strict: bool = True,
        size: int | None = 1,
    ) -> None:
        super().__init__(monitor, mode, strict)
        self.size = size
        self.entries: list[list[Any]] = []

    @property
    def who(self) -> str:
        """Whom it works for."""
        return "Checkpoint"

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        self.entries = []

    @property
    def file_name(self) -> str:
        """The metric as part of a file's name, as "val_loss"."""
        return (self.monitor or "fitness").replace("/", "_")

    def enters(self, value: float) -> bool:
        """Whether a checkpoint with this value would be among the best; one as good as the last of them is not."""
        if not self.is_number(value):
            return False
        return self.size is None or len(self.entries) < self.size or self.gain(value, self.entries[-1][0]) > 0

    def add(self, value: float, name: str) -> None:
        """Take a checkpoint in."""
        place = sum(self.gain(value, other) <= 0 for other, _ in self.entries)
        self.entries.insert(place, [value, name])
        if self.size is not None:
            del self.entries[self.size :]

    def look(self, trainer: TrainerLike, name: str) -> bool:
        """Take this epoch's checkpoint in, if it is among the best."""
        value = self.value(trainer)
        self.update(trainer)
        if not self.enters(value):
            return False
        self.add(value, name)
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best value, its epoch, and the names."""
        return {**super().state_dict(), "entries": [list(entry) for entry in self.entries]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.entries = [list(entry) for entry in state["entries"]]
