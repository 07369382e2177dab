"""Work that goes on beside training."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Background:
    """Does one job after another in a thread of its own, and lets only one wait.

    Example:
        >>> jobs = Background("squares")
        >>> jobs.submit(lambda: 3 * 3)
        >>> jobs.wait()
        [9]
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._jobs: deque[Future[Any]] = deque()

    def submit(self, job: Callable[[], Any]) -> None:
        """Have a job done; waits while there are two that are not done yet."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, self._name)
        busy = [future for future in self._jobs if not future.done()]
        if len(busy) > 1:
            busy[0].exception()
        self._jobs.append(self._thread.submit(job))

    def done(self) -> list[Any]:
        """The results of what has been done since the last call, in order. Raises what a job raised."""
        results = []
        while self._jobs and self._jobs[0].done():
            results.append(self._jobs.popleft().result())
        return results

    def wait(self) -> list[Any]:
        """Wait until all is done, let go of the thread, and return as :meth:`done` does."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        return self.done()
