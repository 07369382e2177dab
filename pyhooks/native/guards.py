"""Native callbacks that watch over a run: bad batches, time, speed. Names as in :mod:`pyhooks.native`."""

from __future__ import annotations

import re
from typing import Any

from pyhooks import _C
from pyhooks.native.base import NativeCallback

__all__ = ["LRMonitor", "LossSpike", "NaNGuard", "StepTimer", "Throughput", "TimeLimit"]


class _Guard(NativeCallback):
    """Shows the options that differ from their defaults."""

    def __repr__(self) -> str:
        (native,) = (native for native in _C.native_classes("callback") if native.name == self.name)
        defaults = {name: default for name, _, default, _ in native.options}
        changed = {name: value for name, value in self.options.items() if value != defaults[name]}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


class NaNGuard(_Guard):
    """Keeps batches whose loss or gradients are not finite away from the weights.

    It looks after the backward pass. A bad batch's optimizer step is left out (its whole accumulation group's), and
    what its forward pass has put into buffers (batch norm's statistics) is taken back: training goes on as if the
    batch had not come, except that its dropout has drawn its random numbers. The batch does not count in the epoch's
    means.

    With "rewind", weights, buffers and optimizer go back to a copy in memory. It is made at the first good batch and
    after every ``snapshot_every`` good ones, before their step: of weights that have just given finite numbers. Step
    count, schedule, random numbers and the order of the data are not rewound: what comes next are other batches, since
    the same ones would lead to the same place. Checkpoints hold the copy too.

    Columns of ``trainer.history.batch``, and metrics of the epoch with the value at its end, for "skip" and "rewind":
    "nan_guard/skipped", the batches left out so far; "nan_guard/rewinds", for "rewind", how often it went back.

    What it costs a batch: one pass over the gradients' memory (0.7 us for 2,400 of them, 2.8 ms for 11.5 million, on
    one core of a machine whose steps took 39 us and 51 ms), on an accelerator one norm of each and one wait; a copy of
    the buffers (until "rewind" has its copy); for "rewind", a copy of everything at every ``snapshot_every``-th batch.

    Args:
        action: "stop" (default): ask for a stop, ``trainer.stop_reason`` names the batch; "skip": go on; "raise":
            raise :class:`pyhooks.CallbackError`, which names the batch and the first parameter whose gradient is bad;
            "rewind".
        watch: "loss", "grads" or "both" (default).
        snapshot_every: "rewind": good batches from one copy to the next. Default: 100.
        max_tries: "rewind": how many bad batches since the last copy it bears; at the next one it goes back and asks
            for a stop. Default: 3.
        lr_factor: "rewind": what all learning rates are multiplied by at each one, for the rest of the run. Default:
            None, nothing.
        name: what the columns' names begin with. Default: "nan_guard".

    Raises:
        ValueError: an option out of range.

    Example:
        >>> NaNGuard(action="rewind", max_tries=5)
        NaNGuard(action='rewind', max_tries=5)
    """

    def __init__(
        self,
        action: str = "stop",
        watch: str = "both",
        snapshot_every: int = 100,
        max_tries: int = 3,
        lr_factor: float | None = None,
        name: str = "nan_guard",
    ) -> None:
        options: dict[str, Any] = {"action": action, "watch": watch, "snapshot_every": snapshot_every}
        super().__init__("nan_guard", **options, max_tries=max_tries, lr_factor=lr_factor, name=name)


class LossSpike(_Guard):
    """Finds batches whose loss is far above those before it, and leaves them out.

    With the losses x of the batches that were no spikes and b = ``decay``, mean m and variance v are exponential
    averages, corrected for their start::

        w <- b w + (1 - b);  a = (1 - b) / w;  d = x - m;  m <- m + a d;  v <- (1 - a) (v + a d^2)

    A loss is a spike if it is above ``factor * m`` (where m is above 0) or above ``m + zscore * sqrt(v)``. A loss that
    is not finite is always one. Spikes leave the averages as they are.

    "skip" and "stop" leave the batch's optimizer step out (its whole accumulation group's) and take back what its
    forward pass has put into buffers: training goes on as if the batch had not come, except that its dropout has drawn
    its random numbers. "snapshot" trains on the batch; ``trainer.snapshots`` has what is trained as it was before.

    Columns of ``trainer.history.batch``: "loss_spike/limit", what the batch's loss must be above to be a spike;
    "loss_spike/spikes", how many there were so far. The epoch's metrics hold the limits' mean and the number at its
    end.

    Args:
        factor: a spike is above that many times the mean. Default: None, 3, or no limit if ``zscore`` is given.
        zscore: a spike is that many standard deviations above the mean. Default: None, no limit.
        after: how many losses to see before there can be a spike. Default: 100.
        decay: how much of the averages each batch keeps, in [0, 1): 0.98 (default) is about the last 50 batches.
        action: "skip" (default), "stop", or "snapshot", which takes one at the first of several spikes in a row.
        max_in_row: so many spikes in a row are a new level: "skip" asks for a stop, for it would skip for ever;
            "snapshot" starts the averages anew. Default: 10.
        name: what the columns' names begin with. Default: "loss_spike".

    Raises:
        ValueError: an option out of range.

    Example:
        >>> LossSpike(zscore=6.0, after=500)
        LossSpike(zscore=6.0, after=500)
    """

    def __init__(
        self,
        factor: float | None = None,
        zscore: float | None = None,
        after: int = 100,
        decay: float = 0.98,
        action: str = "skip",
        max_in_row: int = 10,
        name: str = "loss_spike",
    ) -> None:
        options: dict[str, Any] = {"factor": factor, "zscore": zscore, "after": after, "decay": decay}
        super().__init__("loss_spike", **options, action=action, max_in_row=max_in_row, name=name)


class LRMonitor(_Guard):
    """Logs every parameter group's learning rate for every batch, as its optimizer step is made with.

    Columns "lr_monitor/pg0", "lr_monitor/pg1" and so on; the epoch's metrics hold their means. (The trainer's own
    column "lr" is group 0's, and its metrics "lr/pg0" and so on are the rates at the epoch's end.)

    Args:
        name: what the columns' names begin with. Default: "lr_monitor".

    Raises:
        ValueError: the name is "lr".

    Example:
        >>> LRMonitor()
        LRMonitor()
    """

    def __init__(self, name: str = "lr_monitor") -> None:
        super().__init__("lr_monitor", name=name)


class Throughput(_Guard):
    """Logs how fast training goes: optimizer steps, samples and tokens a second, and the seconds left.

    Columns "throughput/steps", "throughput/samples" and "throughput/tokens" (a second, over the last ``window``
    batches) and "throughput/eta" (seconds). The epoch's metrics are its totals over its time, and the seconds left at
    its end. The time is that from the epoch's start to its last batch's end, waiting for data included; validation,
    saving and what else lies between epochs counts for the seconds left only, from the second epoch on. Data that
    cannot tell how many batches an epoch has give no seconds left. Nothing is kept in checkpoints: these are speeds of
    this run.

    Args:
        window: how many batches to average over. Default: 50.
        tokens: which of a batch's tensors (inputs, then targets, counted from 0) holds token ids: its elements are
            counted. Default: None, no tokens. pad: the id that is no token. Default: None, all are counted. (On an
        accelerator, counting waits for the device.) name: what the columns' names begin with. Default: "throughput".

    Raises:
        ValueError: an option out of range, or ``pad`` without ``tokens``.
        IndexError: in training, a batch has no such tensor.

    Example:
        >>> Throughput(window=20, tokens=0, pad=0)
        Throughput(window=20, tokens=0, pad=0)
    """

    def __init__(
        self, window: int = 50, tokens: int | None = None, pad: int | None = None, name: str = "throughput"
    ) -> None:
        super().__init__("throughput", window=window, tokens=tokens, pad=pad, name=name)


class TimeLimit(_Guard):
    """Stops training when it has taken too long, after the batch in which it has.

    The epoch is then cut short, validated and saved like any other.

    Args:
        seconds: how long training may take, from the start of ``fit`` on: a number of seconds, or "HH:MM:SS", or
            "D-HH:MM:SS". total: count the time of the runs this one was resumed from too. Default: False, each ``fit``
        has the whole time,
            as a job on a cluster has.
        whole_epochs: do not begin an epoch that would not fit, going by the longest so far. A run that is resumed from
            the checkpoint then equals one that never stopped. Default: False.

    Raises:
        TypeError: neither a number nor a string.
        ValueError: a time that is not above 0, or a string of another form.

    Example:
        >>> TimeLimit("00:30:00")
        TimeLimit(seconds=1800.0)
    """

    def __init__(self, seconds: float | str, total: bool = False, whole_epochs: bool = False) -> None:
        limit = _seconds(seconds) if isinstance(seconds, str) else seconds
        super().__init__("time_limit", seconds=limit, total=total, whole_epochs=whole_epochs)


class StepTimer(_Guard):
    """Logs where each batch's time went, in seconds.

    Columns "time/data", waiting for the batch; "time/step", forward, backward, clipping and optimizer;
    "time/callbacks", the callbacks of batch events, this one's cost included. The epoch's metrics hold the means. On
    an accelerator "time/step" ends when the work has been queued, or where something (reading the loss) has waited for
    it.

    Example:
        >>> StepTimer()
        StepTimer()
    """

    def __init__(self) -> None:
        super().__init__("step_timer")


def _seconds(text: str) -> float:
    """Seconds from "HH:MM:SS" or "D-HH:MM:SS"."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)", text.strip())
    if found is None:
        raise ValueError(f'TimeLimit: {text!r} is no time; wanted seconds, "HH:MM:SS" or "D-HH:MM:SS"')
    days, hours, minutes, seconds = found.groups()
    return ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)
