"""The curves of a run as one picture."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pyhooks.drawing import BLUE, ORANGE, PALE, picture
from pyhooks.metrics.direction import direction

Column = npt.NDArray[np.float64]
Panel = Callable[[Any], None]  # draws itself on a matplotlib axis
_TRAIN, _VAL, _QUIET = BLUE, ORANGE, PALE


def results_png(
    history_epochs: Sequence[Mapping[str, float]],
    batch_columns: Mapping[str, npt.ArrayLike],
    path: str | os.PathLike[str],
) -> None:
    """Draw loss, every metric, the per-batch loss (raw and smoothed) and the learning rate.

    Args:
        history_epochs: the metrics of each epoch, as ``trainer.history.epochs``; missing values leave gaps.
        batch_columns: one value a training batch, as ``trainer.history.batch``; ``"loss"`` and ``"lr"`` are
            drawn, ``"lr"`` being ``[batches]`` or ``[batches, groups]``.
        path: the PNG to write; an existing one is replaced.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is nothing to draw.

    Example:
        >>> import tempfile
        >>> epochs = [{"train/loss": 1.0, "val/loss": 1.1}, {"train/loss": 0.6, "val/loss": 0.8}]
        >>> results_png(epochs, {"loss": [1.2, 0.9, 0.7, 0.5]}, tempfile.mkdtemp() + "/results.png")
    """
    panels = [*_epoch_panels(history_epochs), *_batch_panels(batch_columns)]
    if not panels:
        raise ValueError("results_png got an empty history; train for at least one epoch first")
    columns = min(len(panels), 2 if len(panels) <= 4 else 3)
    rows = math.ceil(len(panels) / columns)
    with picture(path, 4.8 * columns, 3.3 * rows) as figure:
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for panel, axis in zip(panels, axes, strict=False):
            panel(axis)


def _epoch_panels(epochs: Sequence[Mapping[str, float]]) -> list[Panel]:
    """A panel for each metric of train and validation, the loss first."""
    names = [name.split("/", 1) for epoch in epochs for name in epoch if name.startswith(("train/", "val/"))]
    bases = sorted(dict.fromkeys(base for _, base in names), key=lambda base: base != "loss")
    return [partial(_draw_metric, name=base, epochs=epochs) for base in bases]


def _draw_metric(axis: Any, *, name: str, epochs: Sequence[Mapping[str, float]]) -> None:
    numbers = np.arange(1, len(epochs) + 1)
    for phase, colour in (("train", _TRAIN), ("val", _VAL)):
        values = np.array([epoch.get(f"{phase}/{name}", math.nan) for epoch in epochs], dtype=np.float64)
        if np.isfinite(values).any():
            marker = "o" if len(values) <= 15 else None
            axis.plot(numbers, values, color=colour, linewidth=1.8, marker=marker, markersize=3.5, label=phase)
            if phase == "val":
                _mark_best(axis, numbers, values, name)
    axis.set_title(name)
    axis.set_xlabel("epoch")
    axis.xaxis.get_major_locator().set_params(integer=True)
    if name == "loss":
        _log_if_wide(axis, np.concatenate([line.get_ydata() for line in axis.lines] or [numbers]))
    if axis.lines:
        axis.legend()


def _log_if_wide(axis: Any, values: Column) -> None:
    """A logarithmic axis, labelled in plain numbers, for a loss that fell a long way."""
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() / finite.min() > 30:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")


def _mark_best(axis: Any, numbers: npt.NDArray[np.int_], values: Column, name: str) -> None:
    """A ring around the best validation value, when the name tells which one that is."""
    way = direction(name)
    if way is None:
        return
    best = int(np.nanargmin(values) if way == "min" else np.nanargmax(values))
    label = f"best {values[best]:.4g} (epoch {numbers[best]})"
    axis.plot(
        numbers[best],
        values[best],
        "o",
        color=_VAL,
        markersize=8,
        markerfacecolor="none",
        linestyle="",
        label=label,
    )


def _batch_panels(columns: Mapping[str, npt.ArrayLike]) -> list[Panel]:
    losses = np.asarray(columns.get("loss", ()), dtype=np.float64)
    rates = np.asarray(columns.get("lr", ()), dtype=np.float64)
    panels: list[Panel] = []
    if losses.size:
        panels.append(partial(_draw_batch_loss, losses=losses))
    if rates.size:
        panels.append(partial(_draw_rates, rates=rates.reshape(len(rates), -1)))
    return panels


def _draw_batch_loss(axis: Any, *, losses: Column) -> None:
    window = max(1, len(losses) // 40)
    steps = np.arange(1, len(losses) + 1)
    axis.plot(steps, losses, color=_QUIET, linewidth=0.8, label="each batch")
    axis.plot(steps, _smooth(losses, window), color=_TRAIN, linewidth=1.8, label=f"mean over {window} batches")
    _log_if_wide(axis, losses)
    axis.set_title("training loss, batch by batch")
    axis.set_xlabel("step")
    axis.legend()


def _draw_rates(axis: Any, *, rates: Column) -> None:
    steps = np.arange(1, len(rates) + 1)
    distinct = np.unique(rates, axis=1).shape[1] > 1
    for group in range(rates.shape[1] if distinct else 1):
        axis.plot(steps, rates[:, group], linewidth=1.8, color=None if distinct else _TRAIN, label=f"group {group}")
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter("{x:.3g}")
    axis.set_title("learning rate")
    axis.set_xlabel("step")
    if distinct:
        axis.legend()


def _smooth(values: Column, window: int) -> Column:
    """The centred running mean of the finite values; near the ends, of those there are."""
    finite = np.isfinite(values)
    kernel = np.ones(window)
    sums = np.convolve(np.where(finite, values, 0.0), kernel, mode="same")
    counts = np.convolve(finite.astype(np.float64), kernel, mode="same")
    means: Column = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return means
