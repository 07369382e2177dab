"""Whole sequences of events of runs that end by themselves."""

from __future__ import annotations

import torch
from trainer_helpers import SETUP, Recorder, ending, epoch, points, trainer_of

import pyhooks
from pyhooks.callbacks import Checkpoint


def test_without_validation(engine: str) -> None:
    recorder = Recorder()
    trainer_of(engine=engine, callbacks=[recorder]).fit(points(), epochs=3, batch_size=8)
    epochs = [note for number in range(3) for note in epoch(number, val=False)]
    assert recorder.seen == SETUP + epochs + ending(2, "on_train_end", "teardown")


def test_with_validation_and_checkpoints(engine: str, tmp_path) -> None:
    recorder = Recorder()
    saver = Checkpoint(tmp_path, save_best=False, asynchronous=False)
    trainer_of(engine=engine, callbacks=[recorder, saver]).fit(points(), points(9, 1), epochs=2, batch_size=8)
    epochs = [note for number in range(2) for note in epoch(number, saves=1)]
    assert recorder.seen == SETUP + epochs + ending(1, "on_train_end", "teardown")


def test_a_second_fit_fires_the_same_again() -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    trainer.fit(points(), epochs=2, batch_size=8)
    first, recorder.seen = recorder.seen, []
    trainer.fit(points(), epochs=2, batch_size=8)
    assert recorder.seen == first


def test_evaluate_and_predict_fire_nothing() -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    trainer.evaluate(points())
    trainer.predict(points()[0])
    assert recorder.seen == []


def test_what_is_known_at_each_event() -> None:
    known: dict[str, tuple[set[str], bool, int, bool]] = {}

    def look(event: str, trainer: pyhooks.Trainer) -> None:
        if trainer.epoch == 1:
            has_fitness = trainer.fitness is not None
            known[event] = (set(trainer.metrics), has_fitness, trainer.global_step, trainer.stop)

    trainer = trainer_of(metrics={"accuracy": pyhooks.metrics.accuracy}, callbacks=[Recorder(look)])
    trainer.fit(points(20), points(9, 1), epochs=2, batch_size=8)
    train = {"train/loss", "train/accuracy", "lr/pg0"}
    both = train | {"val/loss", "val/accuracy"}
    assert known["on_train_epoch_start"] == (set(), True, 3, False)  # fitness: the last finished epoch's
    assert known["on_train_epoch_end"] == (train, True, 6, False)
    assert known["on_val_start"][0] == train
    assert known["on_val_end"][0] == known["on_fit_epoch_end"][0] == both
    assert known["on_train_end"] == known["teardown"] == (both, True, 6, False)


def test_fitness_is_of_this_epoch_when_the_epoch_is_done() -> None:
    pairs = []
    trainer = trainer_of()
    trainer.add_callback("on_fit_epoch_end", lambda t: pairs.append((t.fitness, -t.metrics["val/loss"])))
    trainer.fit(points(), points(9, 1), epochs=3, batch_size=8)
    assert [fitness for fitness, _ in pairs] == [loss for _, loss in pairs]
    assert trainer.best_fitness == max(fitness for fitness, _ in pairs)


def test_phases_come_in_order_whatever_the_order_of_registration() -> None:
    order: list[str] = []

    def callback(kind: str) -> pyhooks.Callback:
        methods = {"phase": kind, "on_fit_epoch_end": lambda self, trainer: order.append(kind)}
        return type(kind, (pyhooks.Callback,), methods)()

    given = [callback(kind) for kind in ("observe", "save", "mutate", "vote")]
    trainer = trainer_of()
    trainer.add_callback("on_fit_epoch_end", lambda _: order.append("function"))
    for one in given:
        trainer.add_callback(one)
    trainer.fit(points(), epochs=1, batch_size=8)
    assert order == ["vote", "mutate", "save", "function", "observe"]


def test_a_scheduler_has_stepped_when_checkpoints_are_written() -> None:
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    rates: list[tuple[str, float, float]] = []

    def look(phase: str) -> pyhooks.Callback:
        def note(self: object, trainer: pyhooks.Trainer) -> None:
            rates.append((phase, trainer.metrics["lr/pg0"], trainer.optimizer.param_groups[0]["lr"]))

        return type(phase, (pyhooks.Callback,), {"phase": phase, "on_fit_epoch_end": note})()

    trainer = pyhooks.Trainer(
        model,
        torch.nn.functional.cross_entropy,
        optimizer,
        scheduler=scheduler,
        callbacks=[look("vote"), look("save")],
        progress=False,
    )
    trainer.fit(points(), epochs=2, batch_size=8)
    assert rates == [("vote", 1.0, 1.0), ("save", 1.0, 0.5), ("vote", 0.5, 0.5), ("save", 0.5, 0.25)]
