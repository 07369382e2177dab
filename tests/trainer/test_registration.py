"""What may be registered, what is refused, and what the refusal says."""

from __future__ import annotations

import functools
import threading
from typing import Any

import pytest
from trainer_helpers import BATCH_EVENTS, PYTHON_EVENTS, Recorder, points, trainer_of

import pyhooks
from pyhooks.callbacks import EarlyStopping


def nothing(trainer: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("on_train_epoch_ends", "on_train_epoch_end"),
        ("on_epoch_start", "on_train_epoch_start"),
        ("on_epoch_end", "on_fit_epoch_end"),
        ("on_fit_end", "on_fit_epoch_end"),
        ("on_validation_end", "on_val"),
        ("on_optimizer_step", "optimizer_step"),
    ],
)
def test_a_misspelt_event_names_the_nearest(wrong: str, near: str) -> None:
    for register in (trainer_of().add_callback, lambda event, fn: trainer_of().on(event)(fn)):
        with pytest.raises(ValueError, match=f"no event '{wrong}'; did you mean '{near}") as caught:
            register(wrong, nothing)
        assert all(event in str(caught.value) for event in PYTHON_EVENTS)


def test_a_word_like_no_event_names_them_all() -> None:
    with pytest.raises(ValueError, match=r"no event 'ZZZ'\. The events: on_pretrain_routine_start, .*teardown"):
        trainer_of().add_callback("ZZZ", nothing)


@pytest.mark.parametrize("event", BATCH_EVENTS)
def test_python_on_a_batch_event_is_told_the_native_ways(event: str) -> None:
    class Eager(pyhooks.Callback):
        pass

    setattr(Eager, event, nothing)
    for arguments in ((event, nothing), (Eager(),)):
        with pytest.raises(ValueError, match=f"cannot listen to '{event}'") as caught:
            trainer_of().add_callback(*arguments)
        for way in ("on_train_epoch_end", "trainer.history.batch", "pyhooks.native", "PYHOOKS_CALLBACK", "ctx.log"):
            assert way in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: None,
        lambda trainer, epoch: None,
        lambda *, trainer: None,
        functools.partial(nothing, None),
    ],
)
def test_the_wrong_number_of_arguments(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot be called with one argument, the trainer.*define it as"):
        trainer_of().add_callback("on_train_end", wrong)

    class Wrong(pyhooks.Callback):
        on_train_end = staticmethod(lambda: None)

    with pytest.raises(TypeError, match=r"Wrong\.on_train_end\(\) cannot be called with one argument"):
        trainer_of().add_callback(Wrong())


@pytest.mark.parametrize(
    "fine",
    [
        nothing,
        print,
        lambda *args: None,
        lambda trainer, extra=1: None,
        functools.partial(lambda extra, trainer: None, 1),
        Recorder().on_train_end,
    ],
)
def test_anything_callable_with_one_argument_is_fine(fine: Any) -> None:
    trainer = trainer_of()
    trainer.add_callback("on_train_end", fine)
    trainer.fit(points(), epochs=1, batch_size=8)


@pytest.mark.parametrize("wrong", [EarlyStopping, Recorder, pyhooks.native.NaNGuard])
def test_a_class_is_not_an_object(wrong: type) -> None:
    name = wrong.__name__
    for register in (
        lambda: trainer_of().add_callback(wrong),
        lambda: trainer_of().add_callback("on_train_end", wrong),
        lambda: trainer_of(callbacks=[wrong]),
    ):
        with pytest.raises(TypeError, match=rf"got the class {name}, wanted an object of it: {name}\(\.\.\.\)"):
            register()


@pytest.mark.parametrize("wrong", [None, 3, "print", [nothing]])
def test_what_is_not_callable(wrong: Any) -> None:
    with pytest.raises(TypeError, match="wanted a function of one argument, the trainer"):
        trainer_of().add_callback("on_train_end", wrong)


@pytest.mark.parametrize("wrong", [nothing, 3, None])
def test_without_an_event(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"add_callback\('on_train_epoch_end', fn\)"):
        trainer_of().add_callback(wrong)


def test_two_callbacks_at_once() -> None:
    with pytest.raises(TypeError, match="got two callbacks"):
        trainer_of().add_callback(Recorder(), Recorder())


@pytest.mark.parametrize("wrong", [Recorder(), nothing, "on_train_end", 3])
def test_callbacks_that_are_no_list(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"callbacks is .*wanted a list of callback objects"):
        trainer_of(callbacks=wrong)


def test_the_decorator() -> None:
    trainer = trainer_of()
    calls: list[int] = []

    @trainer.on("on_train_epoch_end", every=2)
    def note(trainer: pyhooks.Trainer) -> None:
        calls.append(trainer.epoch)

    assert trainer.on("on_train_end", nothing) is nothing
    trainer.fit(points(), epochs=5, batch_size=8)
    assert calls == [1, 3] and note.__name__ == "note"


def test_after_training_has_ended_it_warns() -> None:
    trainer = trainer_of()
    trainer.fit(points(), epochs=1, batch_size=8)
    with pytest.warns(UserWarning, match="training has ended; nothing will be called from the next fit") as caught:
        trainer.add_callback("on_train_end", nothing)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="training has ended") as caught:
        trainer.on("on_train_end")(nothing)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("method", ["add_callback", "remove", "load_checkpoint", "evaluate", "predict"])
def test_from_another_thread_during_fit(method: str, tmp_path) -> None:
    trainer = trainer_of()
    handle = trainer.add_callback("on_train_end", nothing)
    calls = {
        "add_callback": lambda: trainer.add_callback("on_train_end", nothing),
        "remove": handle.remove,
        "load_checkpoint": lambda: trainer.load_checkpoint(tmp_path),
        "evaluate": lambda: trainer.evaluate(points()),
        "predict": lambda: trainer.predict(points()[0]),
    }
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            calls[method]()
        except RuntimeError as error:
            errors.append(error)

    def from_a_thread(_: pyhooks.Trainer) -> None:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    trainer.add_callback("on_train_epoch_end", from_a_thread)
    trainer.fit(points(), epochs=1, batch_size=8)
    assert f"{method} was called from another thread while fit() runs" in str(errors[0])


@pytest.mark.parametrize("act", [lambda t: t.fit(points(), epochs=1), lambda t: t.load_checkpoint("x.safetensors")])
def test_what_cannot_be_done_while_training(act: Any) -> None:
    trainer = trainer_of()
    trainer.add_callback("on_train_epoch_end", act)
    with pytest.raises(RuntimeError, match=r"while|already"):
        trainer.fit(points(), epochs=1, batch_size=8)


def test_a_trainer_can_train_another_inside() -> None:
    inner = trainer_of()
    trainer = trainer_of()
    trainer.add_callback("on_train_epoch_end", lambda _: inner.fit(points(), epochs=1, batch_size=8))
    assert trainer.fit(points(), epochs=2, batch_size=8).epochs_run == 2
    assert inner.epochs == 1
