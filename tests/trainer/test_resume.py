"""A run that goes on from a checkpoint equals, to the last bit, one that never stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset
from trainer_helpers import Recorder, assert_same, points, state_of

import pyhooks
from pyhooks.callbacks import Checkpoint, EarlyStopping

EPOCHS, STOP = 6, 3
LAST = "last.safetensors"


def dropout_net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3))


def channels_last_net() -> nn.Module:
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 6), nn.Flatten())
    return layers.to(memory_format=torch.channels_last)


def channels_last_images() -> tuple[Tensor, Tensor]:
    images = torch.randn(22, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return images.to(memory_format=torch.channels_last), points(22)[1]


@dataclasses.dataclass(frozen=True)
class Case:
    """How to train, three times in the same way."""

    model: Callable[[], nn.Module] = dropout_net
    optimizer: Callable[[Any], torch.optim.Optimizer] = torch.optim.Adam
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None
    callbacks: Callable[[], list[Any]] = list
    data: Callable[[], Any] = lambda: points(22)
    val: Any = dataclasses.field(default_factory=lambda: points(9, 1))
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def trainer(self, folder: Path, seed: int = 0) -> pyhooks.Trainer:
        torch.manual_seed(seed)
        model = self.model()
        optimizer = self.optimizer(model.parameters())
        given = {"seed": 3, "progress": False, "metrics": {"accuracy": pyhooks.metrics.accuracy}, **self.options}
        scheduler = None if self.scheduler is None else self.scheduler(optimizer)
        callbacks = [Checkpoint(folder), *self.callbacks()]
        return pyhooks.Trainer(model, F.cross_entropy, optimizer, scheduler=scheduler, callbacks=callbacks, **given)

    def fit(self, trainer: pyhooks.Trainer, epochs: int = EPOCHS) -> pyhooks.Result:
        return trainer.fit(self.data(), self.val, epochs=epochs, batch_size=8)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True)


def groups(parameters: Any) -> torch.optim.Optimizer:
    first, *rest = parameters
    return torch.optim.AdamW([{"params": [first], "lr": 0.1, "weight_decay": 0.0}, {"params": rest}], amsgrad=True)


def one_cycle(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3 * EPOCHS), "batch"


def warm_up(optimizer: torch.optim.Optimizer) -> Any:
    parts = [lr_scheduler.LinearLR(optimizer, total_iters=2), lr_scheduler.CosineAnnealingLR(optimizer, 4)]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[2])


def own_generator() -> DataLoader:
    generator = torch.Generator().manual_seed(11)
    return DataLoader(TensorDataset(*points(22)), batch_size=8, shuffle=True, generator=generator)


CASES = {
    "adam": Case(),
    "sgd": Case(optimizer=sgd),
    "adagrad": Case(optimizer=torch.optim.Adagrad),
    "groups": Case(optimizer=groups),
    "stepped in Python": Case(optimizer=torch.optim.RMSprop),
    "python engine": Case(options={"engine": "python"}),
    "no seed": Case(options={"seed": None}),
    "whole batches": Case(data=lambda: points(24)),
    "accumulation": Case(options={"accumulate": 2, "clip_norm": 0.5}),
    "per batch": Case(scheduler=one_cycle),
    "per epoch": Case(scheduler=lambda o: lr_scheduler.StepLR(o, 2, gamma=0.3)),
    "sequence": Case(optimizer=sgd, scheduler=warm_up),
    "lambda": Case(scheduler=lambda o: (lr_scheduler.LambdaLR(o, lambda step: 0.9**step), "batch")),
    "plateau": Case(scheduler=lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5)),
    "loader": Case(data=lambda: DataLoader(TensorDataset(*points(22)), batch_size=8, shuffle=True)),
    "loader with a generator": Case(data=own_generator),
    "dataset": Case(data=lambda: torch.utils.data.Subset(TensorDataset(*points(22)), range(22))),
    "no validation": Case(val=None),
    "channels last": Case(channels_last_net, data=channels_last_images, val=None),
    "scaled": Case(scheduler=one_cycle, callbacks=lambda: [pyhooks.when("step == 4", do="scale_lr(0.5)")]),
}


@pytest.mark.filterwarnings("ignore:RMSprop has no native kernel")
@pytest.mark.parametrize("name", CASES)
def test_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    whole = case.trainer(tmp_path / "whole")
    case.fit(whole)
    case.fit(case.trainer(tmp_path / "part"), STOP)
    torch.manual_seed(99)  # another process, another state of things
    resumed = case.trainer(tmp_path / "part", seed=98)
    resumed.load_checkpoint(tmp_path / "part" / LAST)
    result = case.fit(resumed)
    assert result.epochs_run == EPOCHS - STOP
    assert_same(state_of(resumed), state_of(whole))
    assert (resumed.best_fitness, resumed.best_epoch) == (whole.best_fitness, whole.best_epoch)
    assert resumed.global_step == whole.global_step and resumed.epoch == EPOCHS - 1
    steps = len(resumed.history.batch["lr"])
    for column in ("lr", "loss"):
        assert (resumed.history.batch[column] == whole.history.batch[column][-steps:]).all()
    if whole.scheduler is not None:
        assert resumed.scheduler.get_last_lr() == whole.scheduler.get_last_lr()


def test_after_an_interruption_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    case = CASES["per batch"]
    whole = case.trainer(tmp_path / "whole")
    case.fit(whole)
    broken = case.trainer(tmp_path / "part")

    def interrupt(trainer: pyhooks.Trainer) -> None:
        if trainer.epoch == STOP:
            raise KeyboardInterrupt

    broken.add_callback("on_train_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        case.fit(broken)
    resumed = case.trainer(tmp_path / "part", seed=98)
    resumed.load_checkpoint(tmp_path / "part" / LAST)
    case.fit(resumed)
    assert_same(state_of(resumed), state_of(whole))


def test_early_stopping_goes_on_waiting(tmp_path: Path) -> None:
    def stopper() -> list[Any]:
        return [EarlyStopping("val/loss", patience=4, min_delta=10.0, restore_best=True)]

    case = Case(callbacks=stopper)
    whole = case.trainer(tmp_path / "whole")
    wanted = case.fit(whole)
    case.fit(case.trainer(tmp_path / "part"), STOP)
    resumed = case.trainer(tmp_path / "part", seed=98)
    resumed.load_checkpoint(tmp_path / "part" / LAST)
    result = case.fit(resumed)
    assert wanted.stop_reason is not None and "4 epochs" in wanted.stop_reason
    assert result.stop_reason == wanted.stop_reason
    assert_same(state_of(resumed), state_of(whole))


def test_it_can_be_done_again_and_again(tmp_path: Path) -> None:
    case = CASES["per epoch"]
    whole = case.trainer(tmp_path / "whole")
    case.fit(whole)
    for epochs in (2, 3, 5, EPOCHS):
        trainer = case.trainer(tmp_path / "part", seed=epochs - 2)
        if epochs > 2:
            trainer.load_checkpoint(tmp_path / "part" / LAST)
        case.fit(trainer, epochs)
    assert_same(state_of(trainer), state_of(whole))


def test_events_of_a_resumed_run(tmp_path: Path) -> None:
    case = Case()
    case.fit(case.trainer(tmp_path), STOP)
    recorder = Recorder()
    trainer = Case(callbacks=lambda: []).trainer(tmp_path)
    trainer.load_checkpoint(tmp_path / LAST)
    trainer.add_callback("on_resume", lambda t: seen.append((t.epoch, t.global_step, len(t.history.epochs))))
    seen: list[Any] = []
    trainer.add_callback(recorder)  # one more than the checkpoint knows, added after loading
    case.fit(trainer, STOP + 1)
    assert seen == [(STOP, 3 * STOP, STOP)]
    start = ["on_pretrain_routine_start", "on_pretrain_routine_end", "on_resume", "on_train_start"]
    assert recorder.names[:5] == [*start, "on_train_epoch_start"]
    assert {number for _, number in recorder.seen} == {STOP}


def test_the_fit_after_the_next_starts_anew(tmp_path: Path) -> None:
    case = Case()
    case.fit(case.trainer(tmp_path), STOP)
    trainer = case.trainer(tmp_path)
    trainer.load_checkpoint(tmp_path / LAST)
    assert case.fit(trainer).epochs_run == EPOCHS - STOP
    assert case.fit(trainer).epochs_run == EPOCHS


def test_a_checkpoint_can_be_taken_by_hand_after_a_fit(tmp_path: Path) -> None:
    case = Case()
    trainer = case.trainer(tmp_path / "a")
    case.fit(trainer, STOP)
    tensors, meta = trainer.checkpoint()
    pyhooks.checkpoint.save(tmp_path / "own.safetensors", tensors, meta)
    resumed, whole = case.trainer(tmp_path / "b", seed=9), case.trainer(tmp_path / "c")
    resumed.load_checkpoint(tmp_path / "own.safetensors")
    case.fit(resumed)
    case.fit(whole)
    assert_same(state_of(resumed), state_of(whole))


def test_a_checkpoint_by_hand_after_an_interruption_counts_whole_epochs(tmp_path: Path) -> None:
    case = Case()
    trainer = case.trainer(tmp_path)

    def interrupt(trainer: pyhooks.Trainer) -> None:
        raise KeyboardInterrupt

    trainer.add_callback("on_train_epoch_end", interrupt, after=STOP)
    with pytest.raises(KeyboardInterrupt):
        case.fit(trainer)
    _, meta = trainer.checkpoint()
    assert meta["epochs_done"] == STOP and meta["history"] == trainer.history.epochs


@pytest.mark.parametrize("parameter", ["0.weight", "3.bias"])
def test_a_checkpoint_holds_copies(parameter: str, tmp_path: Path) -> None:
    case = Case()
    trainer = case.trainer(tmp_path)
    case.fit(trainer, 1)
    tensors, _ = trainer.checkpoint()
    before: Tensor = tensors[f"model.{parameter}"].clone()
    case.fit(trainer, 1)
    assert torch.equal(tensors[f"model.{parameter}"], before)
