"""Which submodules are in training mode, in training and in evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn


class Modes:
    """Switches a model between training and evaluation and back to what it was.

    A submodule that the user has put into eval mode inside a model in train mode (a frozen batch norm) stays so in
    training. A model that is in eval mode as a whole is put into train mode for training.

    Args:
        modules: the model, and the loss if it is a module.

    Example:
        >>> net = nn.Sequential(nn.Linear(1, 1), nn.Dropout()).eval()
        >>> modes = Modes([net])
        >>> modes.set("train"); net.training
        True
        >>> modes.restore(); net.training
        False
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._roots = list(modules)
        self._before = {part: part.training for root in modules for part in root.modules()}
        self._train = {part: part.training or not root.training for root in modules for part in root.modules()}
        self.current = "eval" if modules and not modules[0].training else "train"

    @property
    def signature(self) -> tuple[bool, ...]:
        """The training flags in training mode."""
        return tuple(self._train.values())

    def set(self, mode: str) -> None:
        """Put the model into the mode: "train", else evaluation."""
        for part, flag in self._train.items():
            part.training = flag and mode == "train"
        self.current = "train" if mode == "train" else "eval"

    def adopt(self) -> None:
        """In training mode, take over the flags of submodules that a callback has changed, and new submodules.

        A model that the callback left in eval mode as a whole goes back to the flags it had.
        """
        for root in self._roots:
            for part in root.modules():
                if part not in self._train or (root.training and part.training != self._train[part]):
                    self._train[part] = self._before[part] = part.training or not root.training
        self.set("train")

    @contextmanager
    def inside(self, mode: str) -> Iterator[None]:
        """The mode for the length of a block."""
        before = self.current
        self.set(mode)
        try:
            yield
        finally:
            self.set(before)

    def restore(self) -> None:
        """Put the flags back to what they were."""
        for part, flag in self._before.items():
            part.training = flag
