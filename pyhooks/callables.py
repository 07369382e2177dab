"""Checks of the functions a user hands over, before they are called natively."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def check_plain(function: Callable[..., Any], name: str) -> None:
    """Refuse what a call only prepares: its body would never run."""
    while isinstance(function, functools.partial):
        function = function.func
    for called in (function, getattr(function, "__call__", None)):  # noqa: B004
        is_async = inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)
        if is_async or inspect.isgeneratorfunction(called):
            what = "async: nobody would await it" if is_async else "a generator: nobody would iterate over it"
            raise TypeError(f"{name} is {what}; define it with a plain def that does its work when called")


def check_arity(function: Callable[..., Any], name: str, argument: str = "trainer", what: str = "the trainer") -> None:
    """Refuse what cannot be called with one argument: TypeError says how to define it."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a builtin that does not tell
    try:
        signature.bind(None)
    except TypeError as error:
        raise TypeError(
            f"{name}{signature} cannot be called with one argument, {what} ({error}): define it as "
            f"{name.split('.')[-1]}({argument})"
        ) from None


def name_of(function: Any) -> str:
    """What a function is called in messages."""
    return str(
        getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or type(function).__name__
    )
