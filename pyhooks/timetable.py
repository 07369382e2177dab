"""Tables of the values that ``pyhooks.schedules`` describe: of hyper-parameters, and of buffers that the loss reads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.optim import Optimizer

from pyhooks.optim import hyper_of, set_hyper
from pyhooks.schedule import FIELDS
from pyhooks.schedules.shape import Curve, Run, Shape

Table = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Where:
    """Where a run stands as an epoch begins.

    Args:
        epoch: the epoch, from 0.
        epochs: of the run.
        step: optimizer steps made.
    """

    epoch: int
    epochs: int
    step: int


class Timetable:
    """Moves hyper-parameters and buffers along shapes, each step or each epoch.

    What factors are of is what an optimizer's groups and the buffers hold when a run begins; unless that is what the
    run before it left there, which then counts from what that one began with.

    Args:
        shapes: by field ("lr", "momentum", "beta1", "beta2", "weight_decay") or name of a buffer.
        per: "batch" or "epoch".
        optimizer: whose groups are moved.
        buffers: the scheduled ones by name, of one element each.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], per: str, optimizer: Optimizer, buffers: Mapping[str, Tensor]
    ) -> None:
        self.shapes, self.per, self.optimizer, self.buffers = dict(shapes), per, optimizer, dict(buffers)
        self._bases: dict[str, list[float]] = {}
        self._left: dict[str, list[float]] = {}
        self._begun = False
        self._run = Run(0, 0)

    def use(self, buffers: Mapping[str, Tensor]) -> list[Tensor]:
        """Take the scheduled ones of a step's buffers, which may be others than before (``model.double()``).

        Returns:
            Them, in the order of the table's last columns.
        """
        self.buffers = {name: buffers[name] for name in self.buffers}
        return list(self.buffers.values())

    def begin(self, resumed: bool) -> None:
        """A run begins; one that goes on from a checkpoint keeps what factors are of."""
        self._begun = resumed and bool(self._bases)

    def table(self, steps: int, where: Where, rows: Table | None) -> Table:
        """The coming epoch's values.

        Args:
            steps: optimizer steps of the epoch; -1: unknown.
            where: where the run stands.
            rows: what a torch scheduler makes of the groups, ``[steps, groups, len(FIELDS)]``; None: nothing.

        Returns:
            float64 ``[steps, groups * len(FIELDS) + buffers]``, or one row per epoch; NaN: left alone.

        Raises:
            ValueError: the length of an epoch is needed and unknown, or too short for a shape.
        """
        self._take_bases()
        self._run = self._length(steps, where)
        first = where.epoch if self.per == "epoch" else where.step
        count = 1 if rows is None and self.per == "epoch" else steps
        groups = len(self.optimizer.param_groups)
        table = np.full((count, groups * len(FIELDS) + len(self.buffers)), np.nan)
        if rows is not None:
            table[:, : groups * len(FIELDS)] = rows.reshape(count, -1)
        positions = first + np.arange(count, dtype=np.float64) * (self.per == "batch")
        for column, curve in self._curves():
            table[:, column] = curve(positions)
        return table

    def advance(self, where: Where) -> None:
        """Put the groups to the values of the step (epoch) that comes next. Buffers keep what they have."""
        position = where.epoch + 1 if self.per == "epoch" else where.step
        values = {column: float(curve(np.array([float(position)]))[0]) for column, curve in self._curves()}
        for i, group in enumerate(self.optimizer.param_groups):
            hyper = list(hyper_of(group))
            for field in range(len(FIELDS)):
                hyper[field] = values.get(i * len(FIELDS) + field, hyper[field])
            set_hyper(group, tuple(hyper))  # type: ignore[arg-type]
        self._left = self._present()

    def moved(self) -> list[set[int]]:
        """The fields that are moved, by number, for each group."""
        return [
            {field for name in self.shapes if (field := _field(name, group)) is not None}
            for group in self.optimizer.param_groups
        ]

    def state_dict(self) -> dict[str, Any]:
        """What factors are of, and what was left there."""
        return {"bases": _without_nan(self._bases), "left": _without_nan(self._left)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        self._bases, self._left = _with_nan(state["bases"]), _with_nan(state["left"])

    def _length(self, steps: int, where: Where) -> Run:
        if self.per == "epoch":
            return Run(where.epochs, 1)
        if steps < 0:
            raise ValueError(
                f"the schedule {self} moves every step and needs to know how many an epoch has, and the training data "
                'cannot tell (no len()): pass data with a length, or (schedule, "epoch") to move it once an epoch'
            )
        return Run(steps * where.epochs, steps)

    def _take_bases(self) -> None:
        present = self._present()
        for name, values in present.items():
            bases, left = self._bases.get(name, []), self._left.get(name, [])
            for i, value in enumerate(values):
                if i >= len(bases):  # the first run, or a group that was added
                    bases.append(value)
                elif not self._begun and not (i < len(left) and value == left[i]):
                    bases[i] = value
            self._bases[name] = bases
        self._begun = True

    def _present(self) -> dict[str, list[float]]:
        groups = self.optimizer.param_groups
        values = {}
        for name in self.shapes:
            if name in self.buffers:
                values[name] = [float(self.buffers[name])]
            else:
                fields = [_field(name, group) for group in groups]
                values[name] = [
                    np.nan if field is None else hyper_of(group)[field]
                    for field, group in zip(fields, groups, strict=True)
                ]
        return values

    def _curves(self) -> Iterator[tuple[int, Curve]]:
        """Columns of the table, and what moves them."""
        groups = self.optimizer.param_groups
        names = list(self.buffers)
        for name, shape in self.shapes.items():
            if name in self.buffers:
                column = len(groups) * len(FIELDS) + names.index(name)
                yield column, shape.over(self._run, self._bases[name][0])
                continue
            for i, group in enumerate(groups):
                base, field = self._bases[name][i], _field(name, group)
                if field is not None and not (field == FIELDS.index("weight_decay") and base == 0):
                    yield i * len(FIELDS) + field, shape.over(self._run, base)

    def __repr__(self) -> str:
        if list(self.shapes) == ["lr"]:
            return repr(self.shapes["lr"])
        return f"{{{', '.join(f'{name!r}: {shape}' for name, shape in self.shapes.items())}}}"


def _without_nan(values: Mapping[str, list[float]]) -> dict[str, list[float | None]]:
    return {name: [None if math.isnan(x) else x for x in some] for name, some in values.items()}


def _with_nan(values: Mapping[str, list[float | None]]) -> dict[str, list[float]]:
    return {name: [math.nan if x is None else x for x in some] for name, some in values.items()}


def _field(name: str, group: Mapping[str, Any]) -> int | None:
    """Which of a group's fields a name means; None if it has no such one. Adam's momentum is its beta1."""
    if name == "momentum" and "momentum" not in group:
        name = "beta1"
    if name in ("beta1", "beta2"):
        return FIELDS.index(name) if "betas" in group else None
    return FIELDS.index(name) if name in FIELDS and name in group else None


def check(shapes: Mapping[str, Shape], optimizer: Optimizer, buffers: Mapping[str, Tensor]) -> None:
    """Refuse names that nothing has, and buffers that hold more than one number.

    Raises:
        ValueError: saying what there is.
    """
    for name in shapes:
        if name in buffers:
            if buffers[name].numel() != 1 or not buffers[name].is_floating_point():
                raise ValueError(
                    f"the scheduled buffer {name!r} is {buffers[name].dtype} of shape {list(buffers[name].shape)}; "
                    "wanted one floating-point number: register_buffer('weight', torch.tensor(1.0))"
                )
        elif name not in FIELDS:
            raise ValueError(
                f"scheduler names {name!r}, which is no hyper-parameter ({', '.join(FIELDS)}) and no buffer of the "
                f"model or the loss ({', '.join(buffers) or 'there are none'})"
            )
        elif all(_field(name, group) is None for group in optimizer.param_groups):
            raise ValueError(f"scheduler moves {name!r}, which {type(optimizer).__name__} does not have")
