"""The plain PyTorch loop that pyhooks must equal, bit for bit: what its users would otherwise write."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from parity.harness import Case, Parts
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, TensorDataset

Pair = tuple[Any, Any]


@dataclasses.dataclass
class Record:
    """What the loop has seen: a value a training batch, a dict an epoch."""

    losses: list[float] = dataclasses.field(default_factory=list)
    lrs: list[float] = dataclasses.field(default_factory=list)
    epochs: list[dict[str, float]] = dataclasses.field(default_factory=list)


def forward(model: nn.Module, inputs: Any) -> Any:
    """The model on a batch's inputs: a dict is passed by keyword, a tuple by position."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def loader_of(case: Case, data: Any) -> Any:
    """The training batches, flat, as a user's DataLoader gives them; a loader is taken as it is."""
    if isinstance(data, DataLoader):
        return data
    generator = None if case.seed is None else torch.Generator().manual_seed(case.seed)
    dataset = TensorDataset(*pytree.tree_leaves(data))
    return DataLoader(dataset, case.batch_size, case.shuffle, drop_last=case.drop_last, generator=generator)


def slices(data: Pair, size: int) -> Iterator[Pair]:
    """The rows in order, stacked as a DataLoader stacks them, but drawing no random number, as each loader does."""
    leaves, spec = pytree.tree_flatten(data)
    for first in range(0, len(leaves[0]), size):
        yield pytree.tree_unflatten([torch.stack(list(leaf[first : first + size])) for leaf in leaves], spec)


class Means:
    """The means of an epoch: over rows, of the loss; over their own counts, of the metrics."""

    def __init__(self, case: Case) -> None:
        self.metrics = case.metrics
        self.sums: dict[str, list[float]] = {name: [0.0, 0.0] for name in ("loss", *case.metrics)}

    def add(self, loss: Tensor, outputs: Any, targets: Any) -> None:
        rows = len(pytree.tree_leaves(targets)[0])
        pairs = {name: metric(outputs, targets) for name, metric in self.metrics.items()}
        for name, (value, count) in {"loss": (loss.item() * rows, rows), **pairs}.items():
            self.sums[name][0] += value
            self.sums[name][1] += count

    def values(self, prefix: str) -> dict[str, float]:
        return {f"{prefix}{name}": value / count for name, (value, count) in self.sums.items()}


@torch.no_grad()
def evaluate(case: Case, parts: Parts, data: Any, prefix: str = "") -> dict[str, float]:
    """The mean loss and metrics in eval mode."""
    for module in parts.modules():
        module.eval()
    means = Means(case)
    for inputs, targets in data if isinstance(data, DataLoader) else slices(data, case.batch_size):
        outputs = forward(parts.model, inputs)
        means.add(parts.loss(outputs, targets), outputs, targets)
    return means.values(prefix)


def fit(case: Case, parts: Parts, train: Any, val: Any = None) -> Record:
    """Train; the model, optimizer and scheduler in ``parts`` are changed in place."""
    model, loss_fn, optimizer, scheduler = parts.model, parts.loss, parts.optimizer, parts.scheduler
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    training = {m: m.training or not root.training for root in parts.modules() for m in root.modules()}
    record = Record()
    if case.seed is not None:
        torch.manual_seed(case.seed)
    loader, structure = loader_of(case, train), None if isinstance(train, DataLoader) else train
    for _ in range(case.epochs):
        for module, flag in training.items():  # train(), but what the user froze stays frozen
            module.training = flag
        means = Means(case)
        for number, batch in enumerate(loader, start=1):
            spec = pytree.tree_structure(batch if structure is None else structure)
            inputs, targets = pytree.tree_unflatten(pytree.tree_leaves(batch), spec)
            outputs = forward(model, inputs)
            loss = loss_fn(outputs, targets)
            (loss / case.accumulate if case.accumulate > 1 else loss).backward()
            with torch.no_grad():
                means.add(loss, outputs, targets)
            record.losses.append(loss.item())
            record.lrs.append(float(optimizer.param_groups[0]["lr"]))
            if number % case.accumulate and number < len(loader):
                continue
            if case.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, case.clip_norm)
            if case.clip_value is not None:
                nn.utils.clip_grad_value_(parameters, case.clip_value)
            optimizer.step()
            optimizer.zero_grad()
            if scheduler and case.per == "batch":
                scheduler.step()
        metrics = means.values("train/") | ({} if val is None else evaluate(case, parts, val, "val/"))
        record.epochs.append(metrics)
        if scheduler and case.per == "epoch":
            scheduler.step(*[metrics["val/loss"]] if plateau else [])
    for module, flag in training.items():
        module.training = flag
    return record
