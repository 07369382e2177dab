"""Activation checkpointing: the recomputation draws the same numbers."""

from __future__ import annotations

import pytest
import torch.nn.functional as F
from capture.helpers import Base, assert_equal_training, batches
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_with_dropout(reentrant: bool) -> None:
    class Checkpointed(Base):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 6)
            self.block = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 6), nn.Dropout(0.2))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(checkpoint(self.block, self.first(x), use_reentrant=reentrant))

    captured = assert_equal_training(Checkpointed(), F.cross_entropy, *batches())
    names = {op.name for op in captured.program.ops}
    assert ("pyhooks::set_rng" in names) is not reentrant


def test_checkpointing_without_random_numbers_leaves_no_generator_operators() -> None:
    class Checkpointed(Base):
        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.fc, x, use_reentrant=False)

    captured = assert_equal_training(Checkpointed(), F.cross_entropy, *batches())
    assert not any(op.name.startswith("pyhooks::") for op in captured.program.ops)


def test_reentrant_checkpoint_of_an_input_without_gradient() -> None:
    class Checkpointed(Base):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(checkpoint(self.block, x, use_reentrant=True))

    with pytest.warns(UserWarning, match="requires_grad=True"):
        captured = assert_equal_training(Checkpointed(), F.cross_entropy, *batches())
    assert captured.grads == [True, True, False, False]
