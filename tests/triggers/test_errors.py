"""What is refused, when, and in which words. The language's own errors are tested in tests/cpp."""

from __future__ import annotations

from typing import Any

import pytest
from trainer_helpers import points, trainer_of

import pyhooks
from pyhooks import TriggerError, call, when


def test_a_syntax_error_points_at_the_character() -> None:
    with pytest.raises(TriggerError) as caught:
        when("loss > 3 * ema(loss 100)", do="stop")
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, pyhooks.PyhooksError)
    message, line, caret = str(caught.value).splitlines()
    assert message.startswith("expected an operator, or ',' and a second argument; got the number 100: write ema(loss,")
    assert line[caret.index("^") :] == "100)"


def test_an_unknown_name_is_refused_before_the_first_batch() -> None:
    trainer = trainer_of(callbacks=[when("loss > 1 and los_ema > 2", do="stop"), pyhooks.native.LossMeter()])
    with pytest.raises(TriggerError) as caught:
        trainer.fit(points(), epochs=1, batch_size=5)
    message, line, caret = str(caught.value).splitlines()
    assert message == (
        "nobody logs 'los_ema'; did you mean 'loss_ema'? the names here: loss, lr, grad_norm, step, epoch, epochs, "
        "batch, batches, samples, samples_seen, seconds, loss_ema"
    )
    assert line[caret.index("^") :] == "los_ema > 2"
    assert len(trainer.history.batch) == 0


def test_metrics_of_epochs_are_no_names() -> None:
    class Logs(pyhooks.Callback):
        logs = ("score",)

        def on_train_epoch_end(self, trainer: Any) -> None:
            trainer.log("score", 1.0)

    trainer = trainer_of(callbacks=[Logs(), when("score > 2", do="stop")])
    with pytest.raises(TriggerError, match="nobody logs 'score'"):
        trainer.fit(points(), epochs=1, batch_size=5)


def test_skip_step_is_refused_where_it_would_be_too_late() -> None:
    with pytest.raises(TriggerError, match=r"skip_step is too late at on_train_batch_end.*'loss_ema' here"):
        when("loss_ema > 3", do="skip_step")
    when("loss_ema > 3", do="skip_step", at="on_backward_end")


@pytest.mark.parametrize(
    ("expression", "do", "error", "says"),
    [
        (3, "stop", TypeError, "when got an int; wanted an expression"),
        ("loss > 3", 3, TypeError, "an action is an int; wanted a text as 'skip_step', or a function"),
        ("loss > 3", [], ValueError, "do is empty"),
        ("loss > 3", "call", ValueError, "wants the function itself"),
        ("loss > 3", ["stop", "cal"], TriggerError, "there is no action 'cal'"),
        ("loss > 3", "scale_lr", TriggerError, r"scale_lr wants its factor, as scale_lr\(0.5\)"),
        ("loss > 3", lambda: None, TypeError, "cannot be called with one argument, the list of firings"),
        ("loss > 3", "log(loss)", None, ""),
    ],
)
def test_wrong_arguments(expression: Any, do: Any, error: type[Exception] | None, says: str) -> None:
    if error is None:
        with pytest.raises(ValueError, match="logs 'loss', which the trainer itself makes"):
            trainer_of(callbacks=[when(expression, do)])
        return
    with pytest.raises(error, match=says):
        when(expression, do)


def test_wrong_places() -> None:
    with pytest.raises(ValueError, match="at is 'on_val_end'"):
        when("loss > 3", do="stop", at="on_val_end")
    with pytest.raises(TypeError, match="at is an int"):
        when("loss > 3", do="stop", at=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="call got an int; wanted a function of one argument"):
        call(3)  # type: ignore[arg-type]


def test_an_async_function_is_refused() -> None:
    async def later(firings: Any) -> None: ...

    with pytest.raises(TypeError, match="async"):
        when("loss > 3", do=later)


def test_repr() -> None:
    shown = when("loss > 3", do=["skip_step", call(print)], at="on_backward_end")
    assert repr(shown) == "when('loss > 3', do=['skip_step', call(print)], at='on_backward_end')"
    assert repr(pyhooks.Firing(0, 1, 2, {"loss": 3.0})) == "Firing(epoch=0, batch=1, step=2, values={'loss': 3.0})"
