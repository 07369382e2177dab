"""Decorating a function: what is refused, and in which words."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import pyhooks
from pyhooks import native_callback

numba = pytest.importorskip("numba")


def refusal(function: Any, **options: Any) -> str:
    with pytest.raises(pyhooks.NativeFunctionError) as caught:
        native_callback("on_train_batch_end", **options)(function)
    message = str(caught.value)
    assert message.count("\n") <= 1 and caught.value.__cause__ is None
    return message


def misspelt(s):
    s.log("x", s.los)


def importing(s):
    import json

    json.dumps({})


def asking(s):
    input("next?")


def computing_a_name(s):
    s.log("a" if s.step > 3 else "b", 1.0)


def logging_a_string(s):
    s.log("x", "high")


def assigning(s):
    s.lr = 0.1


def without_state(s):
    s.state[0] = 1


def forgetting(s):
    s.set_lr()


def mixing(s):
    x = 1 if s.step > 3 else "a"
    print(x)


@numba.njit
def helper(loss):
    return loss.value


def calling(s):
    helper(s.loss)


@pytest.mark.parametrize(
    ("function", "reason", "line"),
    [
        (misspelt, "Unknown attribute 'los' of type s; s has epoch, epochs, step,", 's.log("x", s.los)'),
        (importing, "Use of unsupported opcode (IMPORT_NAME) found", "import json"),
        (asking, "Untyped global name 'input': Cannot determine Numba type of", 'input("next?")'),
        (computing_a_name, 'the name is made while the function runs; write it out, as "name"', 's.log("a" if'),
        (logging_a_string, "s.log(name, value): the value is unicode_type; wanted a number", 's.log("x", "high")'),
        (assigning, "s.lr cannot be assigned to; s has epoch,", "def assigning(s):"),
        (without_state, "s.state: this function has none; ask for one, as native_callback(..., state=8)", "s.state[0]"),
        (forgetting, "missing a required argument: 'value'", "s.set_lr()"),
        (mixing, "Cannot unify", 'x = 1 if s.step > 3 else "a"'),
        (calling, "Unknown attribute 'value' of type float64", "return loss.value"),
    ],
)
def test_what_numba_cannot_compile(function: Any, reason: str, line: str) -> None:
    message = refusal(function)
    assert message.startswith(f"{function.__name__} cannot be compiled to native code: ") and reason in message
    place = message.splitlines()[1]
    assert place.startswith(f"  at: {__file__}:") and line in place


def returning(s):
    return s.loss


def generating(s):
    yield s.loss


async def waiting(s):
    s.skip_step()


def in_object_mode(s):
    with numba.objmode():
        print(1)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (returning, "returning returns float64; a callback returns nothing"),
        (generating, "generating is async or a generator; wanted a plain function"),
        (waiting, "waiting is async or a generator; wanted a plain function"),
        (in_object_mode, "in_object_mode goes back to Python (objmode), which would take the GIL at each call"),
    ],
)
def test_what_is_no_callback(function: Any, reason: str) -> None:
    assert refusal(function) == reason


def nothing(s):
    pass


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"event": "on_batch_end"}, ValueError, r"no event 'on_batch_end'; did you mean"),
        ({"state": 0}, ValueError, "state is 0; it must be at least 1"),
        ({"state": []}, ValueError, r"state is \[\]; wanted how many numbers"),
        ({"state": "many"}, TypeError, "state is 'many'; wanted how many numbers"),
        ({"state": 2.0}, ValueError, "state is 2.0; wanted how many numbers"),
        ({"dtype": "int32"}, ValueError, "dtype is 'int32'; wanted one of float32, float64"),
        ({"dtype": "wide"}, TypeError, "dtype is 'wide'; wanted one of"),
        ({"phase": "late"}, ValueError, "phase is 'late'; it must be one of vote, mutate, save, observe"),
        ({"boundscheck": 1}, TypeError, "boundscheck"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        native_callback(**{"event": "on_train_batch_end", **options})(nothing)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda: None, r"\(\) cannot be called with one argument, s"),
        (print, "decorates a function of one argument, s; got a builtin_function_or_method"),
        ("watch", "got a str"),
    ],
)
def test_no_function_of_one_argument(function: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        native_callback("on_train_batch_end")(function)


def test_what_it_makes() -> None:
    @native_callback("on_train_batch_end", state=np.eye(2))
    @numba.njit
    def watch(s):
        """Watch."""
        s.log("b", 1)
        s.log("a", 2.0)
        s.log("b", True)

    assert repr(watch) == "NativeFunction('watch', 'on_train_batch_end')" and watch.__doc__ == "Watch."
    assert watch.label == "watch" and watch.events == ["on_train_batch_end"]
    assert watch.make().logs == ["b", "a"] and np.array_equal(watch.state, np.eye(2))


def test_a_name_the_trainer_makes_itself() -> None:
    @native_callback("on_train_batch_end")
    def watch(s):
        s.log("loss", 1)

    from trainer_helpers import trainer_of

    with pytest.raises(ValueError, match="watch logs 'loss', which the trainer itself makes"):
        trainer_of(callbacks=[watch])


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r"native_callback compiles with numba.*pip install 'pyhooks-torch\[numba\]'"):
        native_callback("on_train_batch_end")
