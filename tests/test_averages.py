"""Reading averages, computing with them, and loading them; resumed runs go on with the same ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from callbacks.averaging import ROWS, assert_equal_states, copied, fit, network, trainer_for
from torch import Tensor, nn
from trainer_helpers import assert_same, points, state_of

import pyhooks
from pyhooks.callbacks import Checkpoint
from pyhooks.native import EMA, SWA, GradNoiseScale, GradNorm, LossMeter

VAL = points(20, seed=1)


def trained(*callbacks: Any) -> pyhooks.Trainer:
    trainer = trainer_for(network(), *callbacks)
    fit(trainer, 2)
    return trainer


class TestAveraged:
    def test_the_model_has_the_averages_inside_the_block(self) -> None:
        trainer = trained(EMA(0.8))
        own, averages = copied(trainer.model), trainer.averaged_weights()
        with trainer.averaged() as model:
            assert model is trainer.model
            assert_equal_states(model.state_dict(), averages)
            inside = trainer.evaluate(VAL)
        assert_equal_states(trainer.model.state_dict(), own)
        other = network(seed=1)
        other.load_state_dict(averages)
        other.eval()
        assert inside["loss"] == pytest.approx(F.cross_entropy(other(VAL[0]), VAL[1]).item(), rel=1e-6)
        assert trainer.evaluate(VAL) != inside

    def test_after_an_exception_in_the_block(self) -> None:
        trainer = trained(EMA(0.8))
        own = copied(trainer.model)
        with pytest.raises(ValueError, match="mine"), trainer.averaged():
            raise ValueError("mine")
        assert_equal_states(trainer.model.state_dict(), own)
        fit(trainer, 1)  # is allowed again

    def test_blocks_in_blocks(self) -> None:
        trainer = trained(EMA(0.8), EMA(0.2))
        own = copied(trainer.model)
        with trainer.averaged("EMA"):
            with trainer.averaged("EMA#2"):
                assert_equal_states(trainer.model.state_dict(), trainer.averaged_weights("EMA#2"))
            assert_equal_states(trainer.model.state_dict(), trainer.averaged_weights("EMA"))
            with pytest.raises(RuntimeError, match=r"inside trainer\.averaged\(\) the model has averaged weights"):
                fit(trainer, 1)
        assert_equal_states(trainer.model.state_dict(), own)

    def test_in_a_callback(self) -> None:
        trainer = trainer_for(network(), EMA(0.8))
        seen: list[tuple[float, float]] = []

        def evaluate(t: pyhooks.Trainer) -> None:
            with t.averaged():
                seen.append((t.evaluate(VAL)["loss"], t.metrics["val/loss"]))

        trainer.add_callback("on_fit_epoch_end", evaluate)
        fit(trainer, 3, VAL)
        for found, wanted in seen:
            assert found == pytest.approx(wanted, rel=1e-6)
        alone = trainer_for(network())
        fit(alone, 3)
        assert_equal_states(trainer.model.state_dict(), alone.model.state_dict())

    @pytest.mark.parametrize("act", [lambda t: t.averaged_weights(), lambda t: t.averaged().__enter__()])
    def test_there_are_none(self, act: Any) -> None:
        trainer = trained(LossMeter())
        with pytest.raises(
            ValueError, match=r"this trainer has no averaged weights: callbacks as pyhooks\.native\.EMA"
        ):
            act(trainer)
        act_before = trainer_for(network(), EMA())
        with pytest.raises(ValueError, match="from their first update on"):
            act(act_before)

    def test_which_ones(self) -> None:
        trainer = trained(EMA(0.8), SWA(start=0))
        with pytest.raises(ValueError, match="has averaged weights of 'EMA', 'SWA': name one of them"):
            trainer.averaged_weights()
        with pytest.raises(ValueError, match="no averaged weights of 'ema'; it has those of 'EMA', 'SWA'"):
            trainer.averaged_weights("ema")

    def test_they_are_copies(self) -> None:
        trainer = trained(EMA(0.8))
        trainer.averaged_weights()["0.weight"].zero_()
        assert trainer.averaged_weights()["0.weight"].abs().sum() > 0

    def test_from_another_thread_while_training(self) -> None:
        trainer = trainer_for(network(), EMA(0.8))
        errors: list[BaseException] = []

        def elsewhere(t: pyhooks.Trainer) -> None:
            with ThreadPoolExecutor(1) as pool:
                error = pool.submit(t.averaged_weights).exception()
            assert error is not None
            errors.append(error)

        trainer.add_callback("on_train_epoch_end", elsewhere)
        fit(trainer, 1)
        assert "averaged_weights was called from another thread" in str(errors[0])


class TestNativeState:
    def test_is_a_copy_of_what_a_callback_keeps(self) -> None:
        trainer = trained(LossMeter(decay=0.5), EMA(0.8))
        assert set(trainer.native_state("LossMeter")) == {"sum", "weight"}
        assert trainer.native_state("EMA")["updates"] == 12

    def test_of_one_that_keeps_nothing(self) -> None:
        with pytest.raises(ValueError, match="no native callback 'GradNorm' keeps a state here; 'EMA' do"):
            trained(GradNorm(), EMA()).native_state("GradNorm")


class Tied(nn.Module):
    """Two names for one weight."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.middle, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x)).relu())


class TestLoadWeights:
    @pytest.fixture(params=[network, Tied], ids=["network", "tied"])
    def make(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    def test_into_a_bare_model(self, make: Any, tmp_path: Path) -> None:
        trainer = trainer_for(make(), EMA(0.8), SWA(start=1), Checkpoint(tmp_path))
        fit(trainer)
        for key, wanted in {
            None: trainer.model.state_dict(),
            "EMA": trainer.averaged_weights("EMA"),
            "SWA": trainer.averaged_weights("SWA"),
        }.items():
            model = make(seed=9)
            assert pyhooks.load_weights(tmp_path / "last.safetensors", model, averaged=key) is model
            assert_equal_states(model.state_dict(), wanted)

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        trained(EMA(0.8), Checkpoint(tmp_path))
        with pytest.raises(ValueError, match=r"last\.safetensors has no averaged weights of 'SWA'; it has .* 'EMA'"):
            pyhooks.load_weights(tmp_path / "last.safetensors", network(), averaged="SWA")
        trained(Checkpoint(tmp_path / "plain"))
        with pytest.raises(ValueError, match=r"last\.safetensors has no averaged weights: callbacks"):
            pyhooks.load_weights(tmp_path / "plain" / "last.safetensors", network(), averaged="EMA")

    def test_another_model(self, tmp_path: Path) -> None:
        trained(EMA(0.8), Checkpoint(tmp_path))
        with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict.*first\.weight"):
            pyhooks.load_weights(tmp_path / "last.safetensors", Tied())
        with pytest.raises(TypeError, match=r"load_weights got a dict as the model; wanted an nn\.Module"):
            pyhooks.load_weights(tmp_path / "last.safetensors", {})  # type: ignore[arg-type]


def watched(folder: Path, seed: int = 0, **options: Any) -> pyhooks.Trainer:
    averages = [EMA(0.8, buffers="average"), EMA(0.9, tau=5, every=2), SWA(start=1, lr=0.01, anneal_epochs=3)]
    measures = [GradNorm(per_parameter=True), GradNoiseScale(0.8), Checkpoint(folder)]
    return trainer_for(network(seed), *averages, SWA(start=2, per="step"), *measures, **options)


@pytest.mark.parametrize("engine", ["graph", "python"])
@pytest.mark.parametrize("stopped", [1, 3])
def test_a_resumed_run_equals_one_that_never_stopped(engine: str, stopped: int, tmp_path: Path) -> None:
    whole, first = (watched(tmp_path / name, engine=engine) for name in ("whole", "first"))
    fit(whole, 5, VAL)
    fit(first, stopped, VAL)
    second = watched(tmp_path / "second", seed=7, engine=engine)
    second.load_checkpoint(tmp_path / "first" / "last.safetensors")
    fit(second, 5, VAL)
    assert_same(state_of(second), state_of(whole))
    for key in ("EMA", "EMA#2", "SWA", "SWA#2", "GradNoiseScale"):
        assert_same(second.native_state(key), whole.native_state(key))
    rows = len(second.history.batch["lr"])
    for name, column in whole.history.batch.items():
        np.testing.assert_array_equal(second.history.batch[name], column[-rows:])


def test_a_checkpoint_without_averages_begins_them(tmp_path: Path) -> None:
    trained(Checkpoint(tmp_path))
    trainer = trainer_for(network(), EMA(0.8), Checkpoint(tmp_path / "b"))
    trainer.load_checkpoint(tmp_path / "last.safetensors")
    fit(trainer, 3)
    assert trainer.native_state("EMA")["updates"] == -(-ROWS // 8)
