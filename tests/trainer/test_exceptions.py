"""Exceptions: from where they come out, who is told, and that they stay what they are."""

from __future__ import annotations

import traceback
import warnings
from typing import Any

import pytest
import torch
from trainer_helpers import SETUP, Recorder, at, ending, epoch, points, trainer_of, upto

from pyhooks.callbacks import Checkpoint

WHOLE = SETUP + epoch(0) + epoch(1)
FAILED = ending(1, "on_exception", "teardown")


class Mine(Exception):
    """Known to nobody else."""


def raiser(error: BaseException) -> Any:
    def raises_here(_: Any) -> None:
        raise error

    return raises_here


def lines_of(error: BaseException) -> list[str]:
    return [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.line]


@pytest.mark.parametrize(
    "event", ["on_train_epoch_start", "on_train_epoch_end", "on_val_start", "on_val_end", "on_fit_epoch_end"]
)
def test_in_a_callback_at_an_epochs_event(event: str, engine: str) -> None:
    error = Mine("no")
    recorder, late = Recorder(), Recorder()
    trainer = trainer_of(engine=engine, callbacks=[recorder])
    at(trainer, event, 1, raiser(error))
    trainer.add_callback(late)
    with pytest.raises(Mine) as caught:
        trainer.fit(points(), points(9, 1), epochs=5, batch_size=8)
    assert caught.value is error and trainer.exception is error
    assert recorder.seen == upto(WHOLE, (event, 1)) + FAILED
    assert late.seen == [*upto(WHOLE, (event, 1))[:-1], *FAILED]
    assert "raise error" in lines_of(error)


@pytest.mark.parametrize("event", [name for name, _ in SETUP])
def test_in_a_callback_before_the_first_epoch(event: str) -> None:
    error = Mine("no")
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    trainer.add_callback(event, raiser(error))
    with pytest.raises(Mine) as caught:
        trainer.fit(points(), epochs=5, batch_size=8)
    assert caught.value is error
    assert recorder.seen == upto(SETUP, (event, 0)) + ending(0, "on_exception", "teardown")


@pytest.mark.parametrize("event", ["on_model_save", "on_checkpoint_durable"])
def test_in_a_callback_while_saving(event: str, tmp_path) -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder, Checkpoint(tmp_path, save_best=False, asynchronous=False)])
    at(trainer, event, 1, raiser(Mine("no")))
    with pytest.raises(Mine):
        trainer.fit(points(), epochs=5, batch_size=8)
    whole = SETUP + [note for number in range(2) for note in epoch(number, val=False, saves=1)]
    assert recorder.seen == upto(whole, (event, 1)) + FAILED


@pytest.mark.parametrize("event", ["on_early_stop", "on_train_end"])
def test_in_a_callback_at_the_end(event: str) -> None:
    recorder = Recorder()
    trainer = trainer_of(callbacks=[recorder])
    at(trainer, "on_fit_epoch_end", 1, lambda t: t.request_stop("enough"))
    trainer.add_callback(event, raiser(Mine("no")))
    with pytest.raises(Mine):
        trainer.fit(points(), epochs=5, batch_size=8)
    last = ending(1, "on_early_stop", "on_train_end")
    whole = SETUP + epoch(0, val=False) + epoch(1, val=False) + last
    assert recorder.seen == upto(whole, (event, 1)) + FAILED


def test_in_teardown_alone_it_comes_out() -> None:
    error, recorder = Mine("no"), Recorder()
    trainer = trainer_of()
    trainer.add_callback("teardown", raiser(error))
    trainer.add_callback(recorder)
    with pytest.raises(Mine) as caught:
        trainer.fit(points(), epochs=1, batch_size=8)
    assert caught.value is error
    assert recorder.names[-2:] == ["on_train_end", "teardown"], "the others are still called"


@pytest.mark.parametrize("event", ["on_exception", "teardown"])
def test_a_second_exception_is_warned_about_and_replaces_nothing(event: str) -> None:
    error, recorder = Mine("first"), Recorder()
    trainer = trainer_of()
    trainer.add_callback("on_train_epoch_end", raiser(error))
    trainer.add_callback(event, raiser(KeyError("second")))
    trainer.add_callback(recorder)
    with pytest.warns(UserWarning, match=r"KeyError\('second'\)"), pytest.raises(Mine) as caught:
        trainer.fit(points(), epochs=1, batch_size=8)
    assert caught.value is error
    assert recorder.names[-2:] == ["on_exception", "teardown"]


def test_warnings_as_errors_do_not_replace_it_either() -> None:
    error = Mine("first")
    trainer = trainer_of()
    trainer.add_callback("on_train_epoch_end", raiser(error))
    trainer.add_callback("on_exception", raiser(KeyError("second")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Mine) as caught:
            trainer.fit(points(), epochs=1, batch_size=8)
    assert caught.value is error


def test_callbacks_can_look_at_it() -> None:
    seen: list[BaseException | None] = []
    error = Mine("no")
    trainer = trainer_of()
    trainer.add_callback("on_fit_epoch_end", raiser(error))
    for event in ("on_exception", "teardown"):
        trainer.add_callback(event, lambda t: seen.append(t.exception))
    with pytest.raises(Mine):
        trainer.fit(points(), epochs=1, batch_size=8)
    assert seen == [error, error]


def test_the_next_fit_knows_nothing_of_it() -> None:
    trainer = trainer_of()
    trainer.add_callback("on_fit_epoch_end", raiser(Mine("no")), once=True)
    with pytest.raises(Mine):
        trainer.fit(points(), epochs=3, batch_size=8)
    assert trainer.fit(points(), epochs=3, batch_size=8).epochs_run == 3
    assert trainer.exception is None


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), StopIteration("end"), KeyboardInterrupt()])
def test_all_kinds_come_out_as_they_are(error: BaseException) -> None:
    trainer = trainer_of()
    trainer.add_callback("on_fit_epoch_end", raiser(error))
    with pytest.raises(type(error)) as caught:
        trainer.fit(points(), epochs=1, batch_size=8)
    assert caught.value is error


def test_it_says_where_it_happened() -> None:
    trainer = trainer_of()
    at(trainer, "on_val_end", 1, raiser(Mine("no")))
    with pytest.raises(Mine) as caught:
        trainer.fit(points(), points(), epochs=3, batch_size=8)
    (note,) = getattr(caught.value, "__notes__", ["epoch 1, in callback <lambda>"])
    assert "epoch 1" in note and "<lambda>" in note and "batch" not in note


class Explodes(torch.nn.Linear):
    """Raises at one call."""

    def __init__(self, error: Exception, call: int) -> None:
        super().__init__(4, 3)
        self.error, self.calls_left = error, [call]  # a list: counted, yet no change of the module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls_left[0] -= 1
        if self.calls_left[0] < 0:
            raise self.error
        return super().forward(x)


def test_in_a_model_that_python_runs() -> None:
    error, recorder = Mine("in forward"), Recorder()
    trainer = trainer_of(Explodes(error, 4), engine="python", callbacks=[recorder])
    with pytest.raises(Mine) as caught:
        trainer.fit(points(20), epochs=5, batch_size=8)  # 3 batches an epoch: the fifth
    assert caught.value is error
    assert "raise self.error" in lines_of(error)
    assert recorder.seen == SETUP + epoch(0, val=False) + [("on_train_epoch_start", 1), *FAILED]
    assert "epoch 1, batch 1" in "".join(getattr(error, "__notes__", ["epoch 1, batch 1"]))
    assert len(trainer.history.epochs) == 1 and len(trainer.history.batch["loss"]) >= 4


def test_in_a_model_while_it_is_captured() -> None:
    trainer = trainer_of(Explodes(Mine("in forward"), 0), engine="graph")
    with pytest.raises(Mine, match="in forward") as caught:
        trainer.fit(points(20), epochs=5, batch_size=8)
    assert "raise self.error" in lines_of(caught.value)
    assert caught.value.__context__ is None, "tracing it is our business, not the reader's"
    notes = "".join(getattr(caught.value, "__notes__", []))
    assert "batch" not in notes and "validation" not in notes


@pytest.mark.filterwarnings("error")  # a second exception would be warned about
def test_in_a_gradient_hook(engine: str) -> None:
    class Hooked(torch.nn.Linear):
        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            if y.requires_grad:
                y.register_hook(raiser(Mine("backward")))
            return y

    trainer = trainer_of(Hooked(4, 3), engine=engine)
    with pytest.raises(Mine, match="backward"):
        trainer.fit(points(), epochs=1, batch_size=4)
    assert isinstance(trainer.exception, Mine)


def test_in_a_loss_or_a_metric(engine: str) -> None:
    def broken(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs.no_such_thing()  # type: ignore[no-any-return, attr-defined]

    for options in ({"loss": broken}, {"metrics": {"broken": broken}}):
        with pytest.raises(AttributeError, match="no_such_thing") as caught:
            trainer_of(engine=engine, **options).fit(points(), epochs=1, batch_size=8)
        assert any("outputs.no_such_thing()" in line for line in lines_of(caught.value))


def test_in_the_data(engine: str) -> None:
    class Torn(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
            if i == 13:
                raise Mine("row 13")
            return points()[0][i], points()[1][i]

    recorder = Recorder()
    trainer = trainer_of(engine=engine, callbacks=[recorder])
    with pytest.raises(Mine, match="row 13") as caught:
        trainer.fit(Torn(), epochs=2, batch_size=4, shuffle=False)
    assert any('raise Mine("row 13")' in line for line in lines_of(caught.value))
    assert recorder.names[-3:] == ["on_train_epoch_start", "on_exception", "teardown"]
    assert len(trainer.history.batch["loss"]) == 3, "the batches before it were trained"


@pytest.mark.parametrize("first_batch", [True, False])
def test_a_class_out_of_range_is_named(first_batch: bool, engine: str) -> None:
    x, y = points(40)
    y[0 if first_batch else 26] = 7  # batch 3
    trainer = trainer_of(engine=engine, verify=1)
    with pytest.raises(IndexError, match="7 is out of bounds") as caught:
        trainer.fit((x, y), epochs=1, batch_size=8, shuffle=False)
    notes = "".join(getattr(caught.value, "__notes__", ["batch 0, epoch 0, batch 3"]))
    assert "epoch 0, batch 0" in notes if first_batch else "epoch 0, batch 3" in notes
    if engine == "graph" and not first_batch:
        assert "nll_loss" in str(caught.value) and "test_exceptions" not in str(caught.value)


def test_the_trainer_works_after_bad_data(engine: str) -> None:
    x, y = points(20)
    wrong = y.clone()
    wrong[0] = 7
    trainer = trainer_of(engine=engine)
    with pytest.raises(IndexError):
        trainer.fit((x, wrong), epochs=1, batch_size=8, shuffle=False)
    assert trainer.fit((x, y), epochs=2, batch_size=8).epochs_run == 2
    assert trainer.engine == engine
