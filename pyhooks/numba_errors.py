"""Why numba cannot compile a function, in a few lines."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba

NAMES = (
    "epoch, epochs, step, batch, batches, samples, samples_seen, seconds, loss, lr, num_groups, num_params, "
    "will_update, state, param(i), grad(i), lr_of(group), set_lr(value, group=0), scale_lr(factor), skip_step(), "
    "log(name, value), logged(name), metric(name), request_stop(reason), request_save(reason), snapshot(reason)"
)
"""What ``s`` has, for messages."""

_NOT_THE_USERS = (Path(numba.__file__).parent, Path(__file__).parent)
_NO_REASON = ("Failed in ", "- Resolution failure", "During: ", "File ")


def refusal(function: Callable[[Any], None], error: Exception, batch: str) -> str:
    """Numba's reason and the user's line.

    Args:
        function: the user's.
        error: what numba has raised: 60 lines, often.
        batch: what numba calls the type of ``s``.

    Returns:
        "watch cannot be compiled to native code: Unknown attribute 'los' of type s; s has epoch, ...", and below it
        "  at: train.py:12: x = s.los".
    """
    message = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).replace(batch, "s")
    text = f"{function.__name__} cannot be compiled to native code: {_reason(message)}"
    place = next(iter((*_places(message, function), *_definition(function))), None)
    if place is None:
        return text
    file, line = place
    return f"{text}\n  at: {file}:{line}: {linecache.getline(file, line).strip()}"


def _reason(message: str) -> str:
    raised = re.search(r"raised a specific error:\s*\w+: (.*)", message)
    if raised:
        return raised[1]
    assigned = re.search(r"No definition for lowering (s\.\w+) = ", message)
    if assigned:
        return f"{assigned[1]} cannot be assigned to; s has {NAMES}"
    lines = [line.strip() for line in message.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_NO_REASON)]
    reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return f"{reason}; s has {NAMES}" if reason.endswith("of type s") else reason


def _places(message: str, function: Any) -> Iterator[tuple[str, int]]:
    """The lines of the user's code that the message speaks of, the innermost first."""
    for file, line in re.findall(r"\b(?:at|from) (\S.*?) \((\d+)\)$", message, re.MULTILINE):
        if not any(Path(file).resolve().is_relative_to(folder) for folder in _NOT_THE_USERS):
            yield file, int(line)
    for own, _ in _definition(function):  # numba shortens the other paths it shows
        for file, line in re.findall(r'^File "(.*)", line (\d+):', message, re.MULTILINE):
            if Path(file).name == Path(own).name:
                yield own, int(line)


def _definition(function: Any) -> Iterator[tuple[str, int]]:
    if hasattr(function, "__code__"):
        yield function.__code__.co_filename, function.__code__.co_firstlineno
