"""Keeping Ctrl-C out of places that it would tear apart."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

Handler = Callable[[int, FrameType | None], Any]


class _Gate:
    """A handler of SIGINT in front of the one that was there: passes signals on, or holds them back for a while."""

    def __init__(self) -> None:
        self._behind: Handler | None = None
        self._held = 0
        self._waiting = False

    def handle(self, number: int, frame: FrameType | None) -> Any:
        if self._held:
            self._waiting = True
            return None
        return self._behind(number, frame) if self._behind is not None else None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand in front of Python's handler for the length of a block; in the main thread only."""
        before = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        if not main or self._behind is not None or not callable(before):
            yield
            return
        self._behind = before
        signal.signal(signal.SIGINT, self.handle)
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGINT) == self.handle:  # nobody has set another meanwhile
                signal.signal(signal.SIGINT, before)
            self._behind = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold SIGINT back for the length of a block, then handle it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with self.installed():
            self._held += 1
            try:
                yield
            finally:
                self._held -= 1
                if not self._held and self._waiting:
                    self._waiting = False
                    self.handle(signal.SIGINT, None)


_gate = _Gate()


def interrupt_gate() -> Any:
    """Make :func:`deferred_interrupt` possible in a block that watches signals natively.

    Example:
        >>> with interrupt_gate():
        ...     pass
    """
    return _gate.installed()


def deferred_interrupt() -> Any:
    """Hold SIGINT back for the length of a block, then handle it as it would have been.

    torch's tracer aborts the process when an exception comes out of Python code that it calls from C++, as
    KeyboardInterrupt may anywhere. Outside the main thread, where Python handles no signals, this does nothing.

    Example:
        >>> with deferred_interrupt():
        ...     pass
    """
    return _gate.held()


@contextmanager
def sigterm_ends_training(wanted: bool) -> Iterator[None]:
    """For the length of a block, let SIGTERM raise SystemExit(143): in the main thread, where nobody else handles it.

    Example:
        >>> with sigterm_ends_training(True):
        ...     pass
    """
    main = threading.current_thread() is threading.main_thread()
    if not (wanted and main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL):
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _exit:  # nobody has set another meanwhile
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
