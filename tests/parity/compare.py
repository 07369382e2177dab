"""Comparing what two runs left behind, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from parity import harness, plain
from parity.harness import Case, Parts, build, trainer_for
from torch import Tensor
from torch.utils import _pytree as pytree

import pyhooks

Make = Callable[[], Any]


def assert_equal(found: Any, wanted: Any, what: str) -> None:
    """The same keys, and under them tensors of the same dtype, strides and bits; everything else equal."""
    mine, theirs = _leaves(found), _leaves(wanted)
    assert mine.keys() == theirs.keys(), f"{what} has {sorted(mine)}; wanted {sorted(theirs)}"
    for key in theirs:
        _assert_equal_leaf(mine[key], theirs[key], what + key)


def _leaves(value: Any) -> dict[str, Any]:
    return {pytree.keystr(path): leaf for path, leaf in pytree.tree_flatten_with_path(value)[0]}


def _assert_equal_leaf(found: Any, wanted: Any, where: str) -> None:
    assert type(found) is type(wanted), f"{where} is a {type(found)}; wanted a {type(wanted)}"
    if not isinstance(wanted, Tensor):
        assert found == wanted, f"{where} is {found!r}; wanted {wanted!r}"
        return
    assert found.dtype == wanted.dtype, f"{where} is {found.dtype}; wanted {wanted.dtype}"
    assert found.shape == wanted.shape, f"{where} has shape {found.shape}; wanted {wanted.shape}"
    assert found.stride() == wanted.stride(), f"{where} has strides {found.stride()}; wanted {wanted.stride()}"
    assert torch.equal(found, wanted), f"{where} differs by up to {(found - wanted).abs().max()}"


def assert_equal_parts(found: Parts, wanted: Parts) -> None:
    """Parameters, buffers, training flags, optimizer and scheduler are the same; no gradient is left."""
    for mine, theirs in zip(found.modules(), wanted.modules(), strict=True):
        what = type(theirs).__name__
        assert_equal(mine.state_dict(), theirs.state_dict(), what)
        flags = [[module.training for module in one.modules()] for one in (mine, theirs)]
        assert flags[0] == flags[1], f"training flags of {what} are {flags[0]}; wanted {flags[1]}"
        assert all(p.grad is None for p in mine.parameters()), f"a gradient was left in {what}"
    assert_equal(found.optimizer.state_dict(), wanted.optimizer.state_dict(), "optimizer")
    if wanted.scheduler is not None:
        counts = [getattr(parts.scheduler, "last_epoch", None) for parts in (found, wanted)]  # a chained one has none
        assert counts[0] == counts[1]
        assert found.scheduler.get_last_lr() == wanted.scheduler.get_last_lr()


def assert_equal_records(trainer: pyhooks.Trainer, wanted: plain.Record) -> None:
    """Losses and rates of every batch and metrics of every epoch are the same float64 numbers."""
    columns = trainer.history.batch
    _assert_equal_lists(columns["loss"].tolist(), wanted.losses, "loss of batch")
    _assert_equal_lists(columns["lr"].tolist(), wanted.lrs, "rate of batch")
    rates = {f"lr/pg{i}" for i in range(len(trainer.optimizer.param_groups))}
    epochs = trainer.history.epochs
    assert all(rates <= epoch.keys() for epoch in epochs), f"an epoch has no {rates}"
    metrics = [{key: value for key, value in epoch.items() if key not in rates} for epoch in epochs]
    _assert_equal_lists(metrics, wanted.epochs, "metrics of epoch")


def _assert_equal_lists(found: list[Any], wanted: list[Any], what: str) -> None:
    assert len(found) == len(wanted), f"{what}: there are {len(found)}; wanted {len(wanted)}"
    for number, (mine, theirs) in enumerate(zip(found, wanted, strict=True)):
        assert mine == theirs, f"{what} {number} is {mine!r}; wanted {theirs!r}"


def assert_parity(
    case: Case,
    engine: str,
    *,
    data: Make | None = None,
    same: Make | None = None,
    val: Make | None = None,
    **options: Any,
) -> pyhooks.Trainer:
    """Train a case by the plain loop and by pyhooks, and compare all that there is.

    Args:
        case: what to train.
        engine: pyhooks' engine; "auto" is expected to fall back to "python".
        data: makes the training data. Default: the case's.
        same: makes the same data for pyhooks, in another form. Default: ``data``.
        val: makes the validation data. Default: the case's.
        options: further options of the Trainer.

    Returns:
        The trainer, after ``fit``.
    """
    data, val = data or case.train_data, val or case.val_data
    theirs = build(case)
    record = plain.fit(case, theirs, data(), val())
    generator = torch.get_rng_state()
    mine = build(case)
    trainer = trainer_for(case, mine, engine, **options)
    harness.fit(case, trainer, (same or data)(), val())
    assert torch.equal(torch.get_rng_state(), generator), "the default generator is in another state"
    assert trainer.engine == (engine if engine != "auto" else "python")
    assert_equal_records(trainer, record)
    assert_equal_parts(mine, theirs)
    return trainer
