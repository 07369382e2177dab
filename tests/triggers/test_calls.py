"""Python functions that a trigger calls at the end of the epoch."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from trainer_helpers import points, trainer_of

import pyhooks
from pyhooks import Firing, call, when


def fit(trainer: pyhooks.Trainer, epochs: int = 3) -> pyhooks.Trainer:
    trainer.fit(points(40), epochs=epochs, batch_size=8)  # 5 batches an epoch
    return trainer


def test_called_at_the_epochs_end_with_its_firings_once() -> None:
    seen: list[Any] = []
    trainer = trainer_of(callbacks=[when("epoch != 1 and batch >= 3", do=lambda firings: seen.append(firings))])
    trainer.add_callback("on_train_epoch_start", lambda t: seen.append(f"start {t.epoch}"))
    trainer.add_callback("on_train_epoch_end", lambda t: seen.append(f"end {t.epoch}"))
    fit(trainer)

    def firings(epoch: int) -> list[Firing]:
        return [Firing(epoch, n, 5 * epoch + n, {"epoch": epoch, "batch": n}) for n in (3, 4)]

    assert seen == ["start 0", firings(0), "end 0", "start 1", "end 1", "start 2", firings(2), "end 2"]


def test_values_are_those_of_names_and_windows() -> None:
    got: list[Firing] = []
    trainer = fit(trainer_of(callbacks=[when("batch == 4 and loss > mean(loss, 2) - 99", do=got.extend)]), epochs=1)
    losses = trainer.history.batch["loss"]
    (firing,) = got
    assert list(firing.values) == ["batch", "loss", "mean(loss, 2)"]
    assert firing.values["loss"] == losses[4]
    assert firing.values["mean(loss, 2)"] == pytest.approx((losses[2] + losses[3]) / 2)


def test_with_a_stop_they_come_before_training_ends() -> None:
    seen: list[Any] = []
    trainer = trainer_of(callbacks=[when("step == 2", do=["stop", seen.append])])
    trainer.add_callback("on_train_end", lambda _: seen.append("end"))
    fit(trainer)
    assert seen == [[Firing(0, 2, 2, {"step": 2})], "end"]


def test_several_functions_get_lists_of_their_own() -> None:
    def greedy(firings: list[Firing]) -> None:
        counts.append(len(firings))
        firings.clear()

    counts: list[int] = []
    fit(trainer_of(callbacks=[when("batch == 0", do=[call(greedy), greedy])]), epochs=1)
    assert counts == [1, 1]


def test_those_of_a_run_that_was_cut_short_do_not_come_in_the_next() -> None:
    class Break(Exception):
        pass

    def crash(trainer: pyhooks.Trainer) -> None:
        raise Break

    got: list[Firing] = []
    trainer = trainer_of(callbacks=[when("batch == 1", do=got.extend)])
    trainer.add_callback("on_train_epoch_start", crash, after=1, once=True)
    with pytest.raises(Break):
        fit(trainer)
    assert [firing.epoch for firing in got] == [0]
    fit(trainer, epochs=1)
    assert [firing.epoch for firing in got] == [0, 0]


def test_what_it_raises_ends_training_as_it_is() -> None:
    class Mine(Exception):
        pass

    def fail(firings: list[Firing]) -> None:
        raise Mine(str(len(firings)))

    with pytest.raises(Mine, match="2"):
        fit(trainer_of(callbacks=[when("batch > 2", do=fail)]))


def test_its_error_policy_is_the_triggers() -> None:
    def fail(firings: list[Firing]) -> None:
        raise RuntimeError("no luck")

    trainer = trainer_of()
    trainer.add_callback(when("batch == 2", do=fail), on_error="warn", budget="50%")
    with pytest.warns(
        UserWarning, match=r"calls of when\('batch == 2', do=call\(.*fail\)\) raised RuntimeError: no luck"
    ):
        fit(trainer)
    assert trainer.epoch == 2


def test_once_is_one_firing() -> None:
    got: list[Firing] = []
    trainer = trainer_of()
    handle = trainer.add_callback(when("batch > 2", do=got.extend), once=True)
    fit(trainer)
    assert [(firing.epoch, firing.batch) for firing in got] == [(0, 3)]
    assert not handle.remove()


def test_removed_both_are_gone() -> None:
    got: list[Firing] = []
    trainer = trainer_of()
    handle = trainer.add_callback(when("batch > 2", do=got.extend))
    assert handle.remove() and not handle.remove()
    fit(trainer)
    assert not got
    assert trainer.callback_stats() == []


def test_it_may_use_the_trainer_and_is_collected_with_it() -> None:
    def trained() -> tuple[str | None, weakref.ref[pyhooks.Trainer]]:
        trainer = trainer_of()
        trainer.add_callback(when("batch > 1", do=lambda firings: trainer.request_stop(f"{len(firings)} firings")))
        fit(trainer)
        return trainer.stop_reason, weakref.ref(trainer)

    reason, trainer = trained()
    assert reason is not None and reason.startswith("calls of when('batch > 1', do=call(")
    assert reason.endswith("): 3 firings [epoch 0]")
    gc.collect()
    assert trainer() is None
