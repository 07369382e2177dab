"""Try stopping rules on a run that goes on."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, cast

from pyhooks.callbacks.base import Callback
from pyhooks.callbacks.early_stopping import EarlyStopping
from pyhooks.callbacks.monitor import Monitor
from pyhooks.callbacks.protocol import TrainerLike


@dataclasses.dataclass(frozen=True)
class WhatIf:
    """Where one policy would have stopped the run.

    Attributes:
        policy: the policy, as one would write it.
        epoch: the epoch it would have stopped after, from 0; None: it would not have stopped.
        reason: what it would have said, or None.
        best: the best value of its metric up to there, or None.
        lost: by how much that misses the best value of the whole run, at least 0, or None.
        seconds: how much shorter the run would have been.
        share: the same as a share of the whole run.
    """

    policy: str
    epoch: int | None
    reason: str | None
    best: float | None
    lost: float | None
    seconds: float
    share: float


class _Watch:
    """One policy, what it has said, and the best value of the whole run."""

    def __init__(self, policy: EarlyStopping) -> None:
        self.policy = policy
        self.run = Monitor(policy.monitor, policy.mode, strict=False)
        self.epoch: int | None = None
        self.reason: str | None = None
        self.seconds = 0.0  # into the run

    def state_dict(self) -> dict[str, Any]:
        said = {"epoch": self.epoch, "reason": self.reason, "seconds": self.seconds}
        return {"policy": self.policy.state_dict(), "run": self.run.state_dict(), **said}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.policy.load_state_dict(state["policy"])
        self.run.load_state_dict(state["run"])
        self.epoch, self.reason, self.seconds = state["epoch"], state["reason"], state["seconds"]


class _Witness:
    """The trainer as a policy sees it: a vote to stop is noted, and training goes on."""

    def __init__(self, trainer: TrainerLike) -> None:
        self._trainer = trainer
        self.reason: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def request_stop(self, reason: str) -> None:
        self.reason = reason


class WhatIfStopping(Callback):
    """Let stopping policies watch a run without stopping it, and say at its end where each would have.

    Args:
        policies: :class:`EarlyStopping` objects, without ``restore_best``.
        report: print the table when training ends. Default: True.

    Raises:
        TypeError: a policy is no EarlyStopping.
        ValueError: there is none, or one restores weights.

    Attributes:
        results: one :class:`WhatIf` a policy, in their order; up to date after each epoch.

    Example:
        >>> what_if = WhatIfStopping([EarlyStopping(patience=3), EarlyStopping(patience=10, min_delta=0.01)])
        >>> len(what_if.results)
        2
    """

    def __init__(self, policies: Sequence[EarlyStopping], report: bool = True) -> None:
        if not isinstance(policies, Sequence) or not policies:
            raise ValueError(f"WhatIfStopping got policies={policies!r}, wanted a list of EarlyStopping objects")
        for policy in policies:
            if not isinstance(policy, EarlyStopping):
                raise TypeError(f"WhatIfStopping got {policy!r} among its policies, wanted EarlyStopping objects")
            if policy.restore_best:
                raise ValueError(
                    f"WhatIfStopping got {policy!r}: nothing is stopped or restored, leave out restore_best"
                )
        self.report = report
        self._watches = [_Watch(policy) for policy in policies]
        self._began = time.perf_counter()
        self._earlier = 0.0  # seconds of the run that this one goes on from
        self._seconds = 0.0
        self._resumed = False

    def on_pretrain_routine_end(self, trainer: TrainerLike) -> None:
        """Refuse what a policy refuses."""
        for watch in self._watches:
            watch.policy.on_pretrain_routine_end(trainer)

    def on_train_start(self, trainer: TrainerLike) -> None:
        """Start afresh, unless a checkpoint's state was just loaded."""
        if not self._resumed:
            self._watches = [_Watch(watch.policy) for watch in self._watches]
            self._earlier = self._seconds = 0.0
        self._resumed = False
        self._began = time.perf_counter()
        for watch in self._watches:
            watch.policy.on_train_start(trainer)

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Ask each policy."""
        self._seconds = self._earlier + time.perf_counter() - self._began
        for watch in self._watches:
            self._ask(watch, trainer)

    def on_train_end(self, trainer: TrainerLike) -> None:
        """Print the table."""
        if self.report:
            from rich.console import Console

            Console().print(self._table())

    def state_dict(self) -> dict[str, Any]:
        """What each policy has seen and said."""
        return {"seconds": self._seconds, "policies": [watch.state_dict() for watch in self._watches]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._earlier = self._seconds = state["seconds"]
        for watch, entry in zip(self._watches, state["policies"], strict=True):
            watch.load_state_dict(entry)
        self._resumed = True

    @property
    def results(self) -> list[WhatIf]:
        """Where each policy would have stopped."""
        return [self._result(watch) for watch in self._watches]

    def _ask(self, watch: _Watch, trainer: TrainerLike) -> None:
        watch.run.update(trainer)
        if watch.epoch is not None:
            return
        witness = _Witness(trainer)
        watch.policy.on_fit_epoch_end(cast(TrainerLike, witness))
        if witness.reason is not None:
            watch.epoch, watch.reason, watch.seconds = trainer.epoch, witness.reason, self._seconds

    def _result(self, watch: _Watch) -> WhatIf:
        best, run_best = watch.policy.best, watch.run.best
        saved = 0.0 if watch.epoch is None else self._seconds - watch.seconds
        return WhatIf(
            policy=repr(watch.policy),
            epoch=watch.epoch,
            reason=watch.reason,
            best=best,
            lost=None if best is None or run_best is None else watch.policy.gain(run_best, best),
            seconds=saved,
            share=saved / self._seconds if self._seconds > 0 else 0.0,
        )

    def _table(self) -> Any:
        from rich.table import Table

        table = Table(title="Where the run would have stopped", title_justify="left")
        for name in ("policy", "after epoch", "best value", "lost", "time saved"):
            table.add_column(name, justify="left" if name == "policy" else "right", overflow="fold")
        for result in self.results:
            table.add_row(
                result.policy,
                "not stopped" if result.epoch is None else str(result.epoch + 1),
                _number(result.best),
                _number(result.lost),
                f"{result.seconds:.1f} s ({result.share:.0%})",
            )
        return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
