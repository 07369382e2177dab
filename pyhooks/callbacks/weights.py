"""A copy of a model's parameters and buffers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightsCopy:
    """Keeps one copy of what a model holds, and puts it back into the same tensors.

    Example:
        >>> model, kept = nn.Linear(2, 1), WeightsCopy()
        >>> kept.take(model)
        >>> _ = nn.init.zeros_(model.weight)
        >>> kept.put_back(model)
        >>> bool(model.weight.any())
        True
    """

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    def take(self, model: nn.Module) -> None:
        """Copy the model's tensors, over those of the last copy."""
        now = _tensors(model)
        if self._tensors.keys() != now.keys():
            self._tensors = {name: torch.empty_like(tensor) for name, tensor in now.items()}
        for name, tensor in now.items():
            self._tensors[name].copy_(tensor)

    def put_back(self, model: nn.Module) -> None:
        """Copy the kept tensors into the model's, if there are any."""
        if self._tensors:
            for name, tensor in _tensors(model).items():
                tensor.copy_(self._tensors[name])

    def clear(self) -> None:
        """Let go of the copy."""
        self._tensors = {}

    def tensors(self) -> dict[str, Tensor]:
        """The copy by name; empty if there is none."""
        return dict(self._tensors)

    def set(self, tensors: Mapping[str, Tensor]) -> None:
        """Keep these from now on."""
        self._tensors = dict(tensors)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters and buffers themselves, detached."""
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
