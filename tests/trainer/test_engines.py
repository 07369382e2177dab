"""Which engine computes the steps, and what is said when it is not the one hoped for."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trainer_helpers import assert_same, net, points, state_of, trainer_of

import pyhooks


class Branches(nn.Linear):
    """Looks at values in Python."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.load_state_dict(net().state_dict())

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return super().forward(x)
        return -super().forward(x)


class Counts(nn.Linear):
    """Keeps a number in Python that the maths depend on."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.load_state_dict(net().state_dict())
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * self.calls


class CountsOutside(nn.Linear):
    """The same where nobody looks: in a list that a global holds."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.load_state_dict(net().state_dict())

    def forward(self, x: Tensor) -> Tensor:
        BOX[0] += 1
        return super().forward(x) * BOX[0]


BOX = [0]


def plain(model: nn.Module, epochs: int = 2) -> nn.Module:
    """The plain loop over the same batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    x, y = points(24)
    for _ in range(epochs):
        for i in range(0, 24, 8):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[i : i + 8]), y[i : i + 8]).backward()
            optimizer.step()
    return model


def fitted(model: nn.Module, **options: Any) -> pyhooks.Trainer:
    trainer = trainer_of(model, **options)
    trainer.fit(points(24), epochs=2, batch_size=8, shuffle=False)
    return trainer


@pytest.mark.filterwarnings("error")
def test_auto_is_graph_where_it_can_be() -> None:
    trainer = fitted(net())
    assert trainer.engine == "graph"
    assert torch.equal(trainer.model.weight, plain(net()).weight)


def test_auto_falls_back_with_one_warning_that_says_why_and_where() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = trainer_of(Branches())
        trainer.fit(points(24), points(9, 1), epochs=2, batch_size=8, shuffle=False)
        trainer.fit(points(24), points(9, 1), epochs=1, batch_size=8, shuffle=False)
        trainer.evaluate(points(9))
    assert trainer.engine == "python"
    (warning,) = caught
    message = str(warning.message)
    for part in ("engine='python'", "test_engines.py", "in forward", "if x.sum() > 0", "torch.where"):
        assert part in message
    assert warning.filename == __file__, "it points at the line that called fit"


@pytest.mark.filterwarnings("ignore:pyhooks runs")
def test_what_falls_back_computes_the_same() -> None:
    trainer = fitted(Branches())
    assert torch.equal(trainer.model.weight, plain(Branches()).weight)


def test_graph_raises_instead() -> None:
    trainer = trainer_of(Branches(), engine="graph")
    with pytest.raises(pyhooks.CaptureError) as caught:
        trainer.fit(points(24), epochs=2, batch_size=8)
    error = caught.value
    assert "if x.sum() > 0" in error.source and error.ways_out and "needs the value" in error.reason
    assert isinstance(error, RuntimeError) and isinstance(error, pyhooks.PyhooksError)


@pytest.mark.filterwarnings("error")
def test_python_when_asked_for() -> None:
    trainer = fitted(Branches(), engine="python")
    assert trainer.engine == "python"
    assert torch.equal(trainer.model.weight, plain(Branches()).weight)


@pytest.mark.parametrize("make", [Counts, CountsOutside])
@pytest.mark.parametrize("verify", [2, 5])
def test_a_counter_in_python_is_never_silently_wrong(make: type[nn.Module], verify: int) -> None:
    BOX[0] = 0
    wanted = plain(make())
    BOX[0] = 0
    with pytest.warns(UserWarning, match="engine='python'"):
        trainer = fitted(make(), verify=verify)
    if make is Counts:
        assert torch.equal(trainer.model.weight, wanted.weight)
        assert trainer.model.calls == 6
    BOX[0] = 0
    with pytest.raises(pyhooks.CaptureError):
        fitted(make(), engine="graph", verify=verify)


def test_without_verification(engine: str) -> None:
    assert_same(state_of(fitted(net(), engine=engine, verify=0)), state_of(fitted(net(), engine=engine)))


def test_what_verification_finds_is_said() -> None:
    BOX[0] = 0
    with pytest.raises(
        pyhooks.CaptureError, match=r"does not compute what eager PyTorch computes: .* on batch"
    ) as caught:
        fitted(CountsOutside(), engine="graph")
    assert any('engine="python"' in way for way in caught.value.ways_out)


def test_verification_changes_nothing(engine: str) -> None:
    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))

    states = [state_of(fitted(model(), engine=engine, verify=verify)) for verify in (0, 1, 100)]
    assert_same(states[1], states[0])
    assert_same(states[2], states[0])


def test_only_evaluation_cannot_be_captured() -> None:
    class InEval(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if not self.training and x.sum() > 100:
                return -super().forward(x)
            return super().forward(x)

    trainer = trainer_of(InEval(4, 3))
    with pytest.warns(UserWarning, match=r"evaluation steps with engine='python'"):
        trainer.fit(points(24), points(9, 1), epochs=2, batch_size=8)
    assert trainer.engine == "graph"


def test_losses_that_are_modules_with_parameters(engine: str) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return nn.functional.cross_entropy(outputs, targets) * self.scale.exp() - self.scale

    model, loss = net(), Scaled()
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.1)
    pyhooks.Trainer(model, loss, optimizer, engine=engine, progress=False).fit(points(), epochs=2, batch_size=8)
    assert loss.scale.item() != 1.0
