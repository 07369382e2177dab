"""Stop when a metric no longer gets better."""

from __future__ import annotations

import inspect
import math
from typing import Any, ClassVar, Literal

from torch import Tensor

from pyhooks.callbacks import options
from pyhooks.callbacks.monitor import Monitor
from pyhooks.callbacks.protocol import TrainerLike
from pyhooks.callbacks.weights import WeightsCopy


class EarlyStopping(Monitor):
    """Stop the run when a metric has not got better for ``patience`` epochs, or has come where it need not go on.

    It looks at the end of each epoch. What must act within one is native: ``pyhooks.when("loss > 100", do="stop")``.

    Args:
        monitor: the metric; None follows ``trainer.fitness``. Default: "val/loss".
        mode: "min" or "max" is better; "auto" (default) tells by the name.
        patience: epochs (or steps) without a gain before the stop, at least 1; None: however long. Default: 5.
        min_delta: what the metric must gain to start the waiting anew, in its own units. Default: 0.
        restore_best: at the end of the run, put the weights and buffers of the epoch with the best value back into the
            model, however the run ends: after a stop or the last epoch before other callbacks' ``on_train_end``; after
            an exception or Ctrl-C last of all, so that what is saved then is the state to go on from. Costs one copy of
            the model; the optimizer stays as it is. Default: False.
        unit: what ``patience`` counts: "epochs" (default), or optimizer "steps".
        relative: ``min_delta`` is a share of the value to beat, as 0.01. Default: False.
        cumulative: small gains add up until they come to ``min_delta`` (default, as in Keras and Lightning). False:
            ``min_delta`` must be gained over the best value so far (as in Ignite).
        baseline: a value that has to be beaten too to start the waiting anew. Default: None.
        target: stop when the metric is as good as this. Default: None.
        divergence: stop when the metric is worse than this. Default: None.
        check_finite: stop when the metric is NaN or infinite; False: such a value is no gain. Default: True.
        start_from_epoch: leave out the epochs before this one, from 0: no value of theirs counts. Default: 0.
        min_epochs: vote only when so many epochs are done; those before are watched. Default: 0.
        strict: refuse a run that will not produce the metric; False: warn, and pass over epochs without it. Default:
            True.

    Raises:
        TypeError: an option of the wrong kind.
        ValueError: an option out of range; options under which it would never stop; what :class:`Monitor` refuses.

    Attributes:
        best: the best value so far, or None. ``best_epoch``: its epoch, from 0.
        wait: epochs (or steps) since the last gain.
        stopped_epoch: the epoch it voted in, from 0, or None.

    Example:
        >>> stopper = EarlyStopping("val/accuracy", patience=3, min_delta=0.001, target=0.99)
        >>> stopper
        EarlyStopping('val/accuracy', patience=3, min_delta=0.001, target=0.99)
        >>> stopper.mode
        'max'
    """

    phase: ClassVar[Literal["vote"]] = "vote"

    def __init__(
        self,
        monitor: str | None = "val/loss",
        mode: Literal["auto", "min", "max"] = "auto",
        patience: int | None = 5,
        min_delta: float = 0.0,
        restore_best: bool = False,
        *,
        unit: Literal["epochs", "steps"] = "epochs",
        relative: bool = False,
        cumulative: bool = True,
        baseline: float | None = None,
        target: float | None = None,
        divergence: float | None = None,
        check_finite: bool = True,
        start_from_epoch: int = 0,
        min_epochs: int = 0,
        strict: bool = True,
    ) -> None:
        who = type(self).__name__
        self.patience = options.whole_or_none(who, "patience", patience, 1)
        self.min_delta = options.number(who, "min_delta", min_delta, 0)
        self.restore_best = options.flag(who, "restore_best", restore_best)
        self.unit = options.choice(who, "unit", unit, ("epochs", "steps"))
        self.relative = options.flag(who, "relative", relative)
        self.cumulative = options.flag(who, "cumulative", cumulative)
        self.baseline = options.number_or_none(who, "baseline", baseline)
        self.target = options.number_or_none(who, "target", target)
        self.divergence = options.number_or_none(who, "divergence", divergence)
        self.check_finite = options.flag(who, "check_finite", check_finite)
        self.start_from_epoch = options.whole(who, "start_from_epoch", start_from_epoch, 0)
        self.min_epochs = options.whole(who, "min_epochs", min_epochs, 0)
        if patience is None and target is None and divergence is None and not check_finite:
            raise ValueError(
                f"{who} got patience=None, no target, no divergence and check_finite=False: it would never stop a "
                "run; leave it out"
            )
        super().__init__(monitor, mode, strict)
        self._given_mode = mode
        self._weights = WeightsCopy()
        self._restored = False
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        self.wait = 0
        self.stopped_epoch: int | None = None
        self._to_beat: float | None = None
        self._gained_at = 0
        self._weights.clear()

    def on_train_start(self, trainer: TrainerLike) -> None:
        """Start afresh, unless a checkpoint's state was just loaded."""
        resumed, self._restored = self._resumed, False
        super().on_train_start(trainer)
        if not resumed:
            self._gained_at = trainer.global_step if self.unit == "steps" else trainer.epoch

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Look at the metric, and vote."""
        if not self.is_there(trainer):
            return
        if trainer.epoch < self.start_from_epoch:
            self._gained_at = self._now(trainer)
            return
        value = self.value(trainer)
        self._look(value, trainer)
        reason = self._reason(value)
        if reason and trainer.epoch + 1 >= self.min_epochs:
            self.stopped_epoch = trainer.epoch
            trainer.request_stop(reason)

    def on_train_end(self, trainer: TrainerLike) -> None:
        """Put the best weights back, for what comes after."""
        self._put_back(trainer)

    def teardown(self, trainer: TrainerLike) -> None:
        """Put the best weights back, if the run did not get to ``on_train_end``."""
        self._put_back(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Best value, what was waited, and with ``restore_best`` the best weights."""
        return {
            **super().state_dict(),
            "wait": self.wait,
            "to_beat": self._to_beat,
            "gained_at": self._gained_at,
            "weights": self._weights.tensors(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.wait, self._to_beat, self._gained_at = state["wait"], state["to_beat"], state["gained_at"]
        self.stopped_epoch = None
        weights: dict[str, Tensor] = state["weights"]
        self._weights.set(weights)

    def __repr__(self) -> str:
        """The call that makes one like it, defaults left out."""
        words = []
        for name, parameter in inspect.signature(EarlyStopping).parameters.items():
            value = self._given_mode if name == "mode" else getattr(self, name)
            if name == "monitor":
                words.append(repr(value))
            elif value != parameter.default:
                words.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"

    def _look(self, value: float, trainer: TrainerLike) -> None:
        gained = self._gains(value)
        better = self.update(trainer)
        if better and self.restore_best:
            self._weights.take(trainer.model)
        if gained or (better and not self.cumulative):
            self._to_beat = value
        if gained and (self.baseline is None or self.gain(value, self.baseline) > 0):
            self._gained_at = self._now(trainer)
        self.wait = self._now(trainer) - self._gained_at

    def _gains(self, value: float) -> bool:
        """Whether the value is more than ``min_delta`` better than the one to beat."""
        if not math.isfinite(value):
            return False
        if self._to_beat is None:
            return True
        least = self.min_delta * abs(self._to_beat) if self.relative else self.min_delta
        return self.gain(value, self._to_beat) > least

    def _now(self, trainer: TrainerLike) -> int:
        """What the clock of ``patience`` shows at this epoch's end."""
        return trainer.global_step if self.unit == "steps" else trainer.epoch + 1

    def _reason(self, value: float) -> str | None:
        what = self.monitor or "fitness"
        if self.check_finite and not math.isfinite(value):
            return f"{what} is {value}"
        if self.target is not None and self.gain(value, self.target) >= 0:
            return f"{what} has reached {value:.6g} (target {self.target:.6g})"
        if self.divergence is not None and self.gain(value, self.divergence) < 0:
            return f"{what} is {value:.6g}, worse than {self.divergence:.6g} (divergence)"
        if self.patience is not None and self.wait >= self.patience:
            return f"{what} {self._waited(value)}"
        return None

    def _waited(self, value: float) -> str:
        waited = f"{self.wait} {self.unit if self.wait != 1 else self.unit[:-1]}"
        if self.best is None or self.best_epoch is None:
            return f"was never a number in {waited}"
        under = "" if self.baseline is None or self.gain(self.best, self.baseline) > 0 else " than the baseline"
        return (
            f"has not got better{under} for {waited} "
            f"(best {self.best:.6g} in epoch {self.best_epoch + 1}, now {value:.6g})"
        )

    def _put_back(self, trainer: TrainerLike) -> None:
        if self.restore_best and not self._restored:
            self._weights.put_back(trainer.model)
            self._restored = True
