"""Checks of what users pass in: each error says what came, what was wanted and what to do."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pyhooks.engines import CHOICES
from pyhooks.schedule import FIELDS, Schedule
from pyhooks.schedules import Shape
from pyhooks.step import Step
from pyhooks.timetable import Timetable
from pyhooks.timetable import check as check_shapes
from pyhooks.wording import kind


def model_loss_optimizer(model: object, loss: object, optimizer: object) -> None:
    """Check the kinds of the trainer's first three arguments."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {kind(model)}; wanted a torch.nn.Module")
    if isinstance(loss, type) or not callable(loss):
        hint = f": make an object of it, {loss.__name__}()" if isinstance(loss, type) else ""
        raise TypeError(
            f"loss is {kind(loss)}; wanted a function (outputs, targets) -> 0-d tensor, as F.cross_entropy{hint}"
        )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer is {kind(optimizer)}; wanted a torch.optim object, as torch.optim.Adam(model.parameters())"
        )


def choices(*, engine: object, fitness: object, seed: object) -> None:
    """Check the trainer's words and its seed."""
    if engine not in CHOICES:
        raise ValueError(f"engine is {engine!r}; wanted one of {', '.join(map(repr, CHOICES))}")
    if fitness is not None and (not isinstance(fitness, str) or not fitness.removeprefix("-")):
        wrong = ValueError if isinstance(fitness, str) else TypeError
        raise wrong(
            f'fitness is {fitness!r}; wanted the name of a metric, as "val/accuracy", or "-val/loss" for '
            "lower is better"
        )
    if seed is None:
        return
    if not _is_integer(seed):
        raise TypeError(f"seed is {seed!r}, {kind(seed)}; wanted an integer from 0 to 2**63 - 1, or None")
    if not 0 <= int(seed) < 2**63:
        raise ValueError(f"seed is {seed}; wanted an integer from 0 to 2**63 - 1, or None")


def at_least(least: int, **values: object) -> None:
    """Check named integers."""
    for name, value in values.items():
        if not _is_integer(value):
            raise TypeError(f"{name} is {value!r}, {kind(value)}; wanted an integer of at least {least}")
        if int(value) < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")


def integers(**values: object) -> None:
    """Check named integers of any size."""
    for name, value in values.items():
        if not _is_integer(value):
            raise TypeError(f"{name} is {value!r}, {kind(value)}; wanted an integer")


def positive(**values: object) -> None:
    """Check named numbers that may be None."""
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"{name} is {value!r}, {kind(value)}; wanted a number above 0, or None")
        if not float(value) > 0:  # NaN neither
            raise ValueError(f"{name} is {value}; it must be above 0 (None: no clipping)")


def above_zero(**values: object) -> None:
    """Check named finite numbers."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"{name} is {value!r}, {kind(value)}; wanted a number above 0")
        if not 0 < float(value) < math.inf:
            raise ValueError(f"{name} is {value}; it must be above 0")


def flags(**values: object) -> None:
    """Check named switches."""
    for name, value in values.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} is {value!r}, {kind(value)}; wanted True or False")


def filters(every: int, once: bool, after: int, before: int | None) -> None:
    """Check when a callback is to be called."""
    at_least(1, every=every)
    at_least(0, after=after)
    flags(once=once)
    if before is None:
        return
    at_least(1, before=before)
    first = (after // every + 1) * every
    if first >= before:
        raise ValueError(
            f"with every={every}, after={after} and before={before} it would never be called: the first occurrence "
            f"that passes is number {first}, and it must be below {before}"
        )


def callbacks(given: object) -> Sequence[Any]:
    """Check the list of callbacks; the objects in it are checked when they are added."""
    if isinstance(given, list | tuple):
        return given
    raise TypeError(
        f"callbacks is {kind(given)}; wanted a list of callback objects, as [EarlyStopping()]. Functions are added "
        "with trainer.add_callback(event, function)"
    )


def folder(given: object) -> Path | None:
    """Check the run's folder."""
    if given is None:
        return None
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"save_dir is {given!r}, {kind(given)}; wanted a folder's path, or None")
    return Path(given)


def metrics(given: object) -> Mapping[str, Any]:
    """Check the dict of metrics."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            f'metrics is {kind(given)}; wanted a dict of name to metric, as {{"accuracy": pyhooks.metrics.accuracy}}'
        )
    for name in given:
        if not isinstance(name, str) or not name or name == "loss":
            wrong = ValueError if isinstance(name, str) else TypeError
            raise wrong(f'a metric is named {name!r}; wanted a string other than "loss", which the loss itself has')
    return given


def schedules(given: Any, optimizer: Optimizer, step: Step) -> tuple[Schedule | None, Timetable | None]:
    """Make of what is passed as ``scheduler`` what moves by torch's classes, and what by shapes."""
    if given is None:
        return None, None
    what, per = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    if isinstance(what, LRScheduler):
        return _torch_schedule(what, per or "epoch", optimizer), None
    if not isinstance(what, Shape | Mapping) or not what:
        raise TypeError(
            f"scheduler is {kind(what)}; wanted a torch.optim.lr_scheduler object, or the pair (scheduler, "
            '"batch"); one of pyhooks.schedules, as warmup(0.05) + cosine(); or a dict, as {"lr": cosine(), '
            '"weight_decay": linear()}'
        )
    if per not in (None, "epoch", "batch"):
        raise ValueError(f'a schedule steps per "epoch" or per "batch", got {per!r}')
    return _mixed_schedules({"lr": what} if isinstance(what, Shape) else what, per, optimizer, step)


def _torch_schedule(scheduler: LRScheduler, per: Any, optimizer: Optimizer) -> Schedule:
    if scheduler.optimizer is not optimizer:
        raise ValueError(
            "the scheduler was made for another optimizer than the trainer's: make it from the optimizer you pass"
        )
    if isinstance(scheduler, ReduceLROnPlateau) and isinstance(per, str) and per not in ("epoch", "batch"):
        return Schedule(scheduler, monitor=per)
    return Schedule(scheduler, per)  # checks `per`


def _mixed_schedules(
    given: Mapping[Any, Any], per: Any, optimizer: Optimizer, step: Step
) -> tuple[Schedule | None, Timetable | None]:
    shapes: dict[str, Shape] = {}
    moved_by_torch: Schedule | None = None
    names = {id(buffer): name for name, buffer in step.buffers().items()}
    for key, value in given.items():
        what = value[0] if isinstance(value, tuple) and value else value
        if key == "lr" and isinstance(what, LRScheduler):
            moved_by_torch, _ = schedules(value, optimizer, step)
        elif not isinstance(value, Shape):
            raise TypeError(
                f'scheduler has {kind(value)} for {key!r}; wanted one of pyhooks.schedules, as cosine() (for "lr" a '
                "torch scheduler too)"
            )
        else:
            shapes[_scheduled_name(key, names)] = value
    buffers = {name: buffer for name, buffer in step.buffers().items() if name not in FIELDS}
    check_shapes(shapes, optimizer, buffers)
    cycles = moved_by_torch is not None and getattr(moved_by_torch.scheduler, "cycle_momentum", False)
    if moved_by_torch is not None and cycles and (both := shapes.keys() & {"momentum", "beta1"}):
        raise ValueError(
            f"{type(moved_by_torch.scheduler).__name__} moves momentum, and so does {both.pop()!r} of scheduler: "
            "make it with cycle_momentum=False"
        )
    if not shapes:
        return moved_by_torch, None
    scheduled = {name: buffer for name, buffer in buffers.items() if name in shapes}
    return moved_by_torch, Timetable(shapes, per or "batch", optimizer, scheduled)


def _scheduled_name(key: Any, names: Mapping[int, str]) -> str:
    if isinstance(key, str):
        return key
    if id(key) not in names:
        raise ValueError(
            f"scheduler has {kind(key)} for a key that is no buffer of the model or the loss; wanted a "
            "hyper-parameter's name, or a buffer that the loss reads: register_buffer('weight', torch.tensor(1.0))"
        )
    return names[id(key)]


def same_device(step: Step) -> None:
    """Refuse a model spread over devices, or on one that cannot be trained on."""
    devices = {str(tensor.device) for tensor in (*step.parameters().values(), *step.constants().values())}
    if len(devices) > 1:
        raise ValueError(
            f"the model's tensors are on several devices ({', '.join(sorted(devices))}); move it to one "
            "with model.to(device)"
        )
    if devices - {"cpu"}:
        raise ValueError(
            f"the model is on {devices.pop()}, the data comes from the CPU; this version trains on the "
            "CPU: model.to('cpu')"
        )
    if not step.parameters():
        raise ValueError(
            "the model has no trainable parameter: every parameter has requires_grad=False, or there is none"
        )


def fresh_folder(parent: Path, name: str) -> Path:
    """The first of parent/name, parent/name2, parent/name3, ... that does not exist; it is made."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _is_integer(value: object) -> TypeGuard[numbers.Integral]:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
