"""One training step as plain PyTorch: the model, the loss and the metrics of one batch.

Every engine runs this code: the python engine calls it, the graph engine traces it, verification compares
with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyhooks.errors import UserStepError
from pyhooks.taps import Taps
from pyhooks.tree import Tree, flatten

MODES = ("train", "eval", "predict")


class MetricLike(Protocol):
    """What a step needs of a metric: a statistics vector of fixed length for each batch."""

    size: int

    def stats(self, outputs: Any, targets: Any) -> Tensor:
        """Return the statistics of one batch, 1-D of length ``size``."""


@dataclasses.dataclass(frozen=True)
class BatchSpec:
    """How a flat list of tensors becomes the model's inputs and the loss's targets.

    Args:
        inputs: the inputs' structure: a tensor is passed as ``model(x)``, a tuple or list as ``model(*xs)``,
            a dict as ``model(**xs)``.
        targets: the targets' structure; passed to the loss as one thing.
        n_inputs: how many of the batch's tensors are inputs; they come first.

    Example:
        >>> spec = BatchSpec.of((torch.zeros(2, 3), torch.zeros(2, 3)), torch.zeros(2))
        >>> spec.n_inputs
        2
    """

    inputs: pytree.TreeSpec
    targets: pytree.TreeSpec
    n_inputs: int

    @classmethod
    def of(cls, inputs: Any, targets: Any = None) -> BatchSpec:
        """Return the spec of an example; ``targets=None`` means that there are none."""
        leaves, input_spec = pytree.tree_flatten(inputs)
        return cls(input_spec, pytree.tree_structure(targets), len(leaves))


@dataclasses.dataclass(frozen=True)
class StepOutput:
    """What one step computed.

    Args:
        loss: 0-d, not divided by the accumulation count, with its autograd graph in train mode; None in
            predict mode.
        stats: one 1-D tensor a metric, in the order of the step's metrics, detached; empty in predict mode.
        outputs: the model's output tensors in order, detached.
        out_spec: rebuilds the model's output from ``outputs`` (:func:`pyhooks.tree.unflatten`).
    """

    loss: Tensor | None
    stats: list[Tensor]
    outputs: list[Tensor]
    out_spec: Tree


class Step:
    """The forward pass, loss and metrics of a batch.

    Modules are called in the mode (``train()`` or ``eval()``) they are in: setting it is the trainer's work.

    Args:
        model: called with the batch's inputs.
        loss: called as ``loss(outputs, targets)``; returns a 0-d floating tensor. A module's parameters are
            trained too.
        metrics: by name; their statistics are computed without gradients.
        spec: how a batch is rebuilt.
        accumulate: how many batches one optimizer step sums; the backward pass divides the loss by it.
            Default 1.
        taps: tensor hooks on its modules. Default: none.

    Example:
        >>> net = nn.Linear(3, 1)
        >>> x, y = torch.zeros(4, 3), torch.zeros(4, 1)
        >>> step = Step(net, nn.functional.mse_loss, {}, BatchSpec.of(x, y))
        >>> step([x, y], "train").loss.shape
        torch.Size([])
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        metrics: Mapping[str, MetricLike],
        spec: BatchSpec,
        accumulate: int = 1,
        taps: Taps | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.metrics = dict(metrics)
        self.spec = spec
        self.accumulate = accumulate
        self.taps = Taps() if taps is None else taps

    def modules(self) -> list[nn.Module]:
        """The model, and the loss if it is a module."""
        return [self.model, self.loss] if isinstance(self.loss, nn.Module) else [self.model]

    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, each once; those of a loss module are named ``loss.<name>``."""
        named = _unique(self._named(lambda module: module.named_parameters()))
        return {name: p for name, p in named.items() if isinstance(p, nn.Parameter) and p.requires_grad}

    def constants(self) -> dict[str, Tensor]:
        """Frozen parameters and buffers of the model and a loss module, each once."""
        frozen = _unique(self._named(lambda module: module.named_parameters()))
        return {**{name: p for name, p in frozen.items() if not p.requires_grad}, **self.buffers()}

    def buffers(self) -> dict[str, Tensor]:
        """The buffers of the model and a loss module, each once."""
        return _unique(self._named(lambda module: module.named_buffers()))

    def backward_loss(self, loss: Tensor) -> Tensor:
        """Return what the backward pass starts from: ``loss / accumulate``."""
        return loss / self.accumulate if self.accumulate > 1 else loss

    def __call__(self, batch: Sequence[Tensor], mode: str) -> StepOutput:
        """Compute one batch.

        Args:
            batch: inputs then targets, flat; in predict mode inputs only.
            mode: ``"train"`` (with gradients), ``"eval"`` or ``"predict"`` (inputs only; no loss, no
                metrics).

        Returns:
            Loss, statistics and outputs.

        Raises:
            UserStepError: the loss is not a 0-d floating tensor, depends on no parameter (train mode), or a
            metric
                returned something else than a 1-D tensor of its size.
            ValueError: the mode is unknown.
        """
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        torch.clear_autocast_cache()  # a caller's autocast may hold casts of weights that have been stepped since
        with torch.set_grad_enabled(mode == "train"), self.taps.watching(self.modules(), mode):
            outputs = self._forward(batch[: self.spec.n_inputs])
            tensors, out_spec = flatten(outputs)
            detached = [tensor.detach() for tensor in tensors]
            if mode == "predict":
                return StepOutput(None, [], detached, out_spec)
            targets = pytree.tree_unflatten(list(batch[self.spec.n_inputs :]), self.spec.targets)
            loss = self.loss(outputs, targets)
            _check_loss(loss, self.loss, training=mode == "train")
        with torch.no_grad():
            stats = [_stats(name, metric, outputs, targets) for name, metric in self.metrics.items()]
        return StepOutput(loss, stats, detached, out_spec)

    def _forward(self, tensors: Sequence[Tensor]) -> Any:
        inputs = pytree.tree_unflatten(list(tensors), self.spec.inputs)
        if isinstance(inputs, Mapping):
            return self.model(**inputs)
        if isinstance(inputs, (tuple, list)):
            return self.model(*inputs)
        return self.model(inputs)

    def _named(self, names: Callable[[nn.Module], Iterator[tuple[str, Tensor]]]) -> Iterator[tuple[str, Tensor]]:
        yield from names(self.model)
        if isinstance(self.loss, nn.Module):
            yield from ((f"loss.{name}", tensor) for name, tensor in names(self.loss))


def _unique(named: Iterator[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Keep each tensor once, under its first name; a second tensor of the same name gets a longer one."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in named:
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        while name in found:
            name = f"loss.{name}"
        found[name] = tensor
    return found


def _check_loss(loss: Any, fn: Any, *, training: bool) -> None:
    name = getattr(fn, "__name__", type(fn).__name__)
    if not isinstance(loss, Tensor):
        raise UserStepError(
            f"the loss must be a tensor, {name} returned {type(loss).__name__}: return a 0-d floating "
            "tensor, without .item() or float()"
        )
    if loss.dim() != 0:
        raise UserStepError(
            f"the loss must be a scalar (0-d tensor), {name} returned shape {list(loss.shape)}: "
            "reduce it with .mean() or .sum()"
        )
    if not loss.dtype.is_floating_point:
        raise UserStepError(
            f"the loss must be floating point, {name} returned {loss.dtype}: compute it from the outputs"
        )
    if training and not loss.requires_grad:
        raise UserStepError(
            f"the loss of {name} depends on no trainable parameter: check that some parameter has "
            "requires_grad=True and that nothing between the model and the loss calls .detach(), .item() or "
            "torch.no_grad()"
        )


def _stats(name: str, metric: MetricLike, outputs: Any, targets: Any) -> Tensor:
    detached = pytree.tree_map_only(Tensor, Tensor.detach, outputs)
    stats = metric.stats(detached, targets)
    if not isinstance(stats, Tensor) or list(stats.shape) != [metric.size]:
        came = f"shape {list(stats.shape)}" if isinstance(stats, Tensor) else type(stats).__name__
        raise UserStepError(
            f"metric {name!r}: stats() must return a 1-D tensor of {metric.size} values (its size), got {came}"
        )
    return stats.detach()
