"""``evaluate`` and ``predict``: the model in eval mode over data, through the same engines as training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyhooks import _C
from pyhooks.data import Data, from_tensors, make_data, to_tensor
from pyhooks.engines import fingerprint
from pyhooks.modes import Modes
from pyhooks.step import BatchSpec
from pyhooks.tree import Tree, unflatten
from pyhooks.wording import kind

if TYPE_CHECKING:
    from pyhooks.trainer import Trainer


def evaluate(trainer: Trainer, value: Any, batch_size: int) -> dict[str, float]:
    """The mean loss over rows, and the metrics; see ``Trainer.evaluate``."""
    data = make_data(value, "data", batch_size=batch_size, training=False, draws_random=lambda: True)
    sums = [[0.0] * metric.size for metric in trainer._metrics.values()]
    loss, rows = 0.0, 0
    for batch, (batch_loss, stats, _) in _steps(trainer, data, "eval"):
        rows += batch[0].shape[0]
        loss += float(batch_loss) * batch[0].shape[0]
        for total, stat in zip(sums, stats, strict=True):
            for i, number in enumerate(stat.tolist()):
                total[i] += number
    values = {name: metric.compute(total) for (name, metric), total in zip(trainer._metrics.items(), sums, strict=True)}
    return {"loss": loss / rows, **values}


def predict(trainer: Trainer, x: Any, batch_size: int) -> Any:
    """The outputs for all rows; see ``Trainer.predict``."""
    leaves = [to_tensor(leaf, f"x{pytree.keystr(path)}") for path, leaf in pytree.tree_flatten_with_path(x)[0]]
    _check_rows(x, leaves)
    spec = BatchSpec.of(x)
    data = from_tensors(leaves, spec, batch_size=batch_size, shuffle=False, drop_last=False, seed=None, quiet=True)
    parts: list[list[Tensor]] = []
    for batch, (_, _, outputs) in _steps(trainer, data, "predict"):
        out_spec = trainer._provider.out_spec(batch)
        _check_outputs(out_spec, outputs, batch[0].shape[0])
        parts.append([output.clone() for output in outputs])
    joined = [torch.cat(tensors) if tensors[0].dim() else torch.stack(tensors) for tensors in zip(*parts, strict=True)]
    return unflatten(joined, out_spec)


def _check_rows(x: Any, leaves: list[Tensor]) -> None:
    wanted = "wanted inputs with the same number of rows, at least one"
    if not leaves:
        raise ValueError(f"predict: x is {kind(x)} that holds no tensor; {wanted}")
    names = [f"x{pytree.keystr(path)}" for path, _ in pytree.tree_flatten_with_path(x)[0]]
    for name, leaf in zip(names, leaves, strict=True):
        if leaf.dim() == 0:
            raise ValueError(
                f"predict: {name} is a single number (0-d), it has no rows; {wanted}: a single sample is a batch of one"
            )
    if len({leaf.shape[0] for leaf in leaves}) > 1:
        lengths = ", ".join(f"{name} has {leaf.shape[0]}" for name, leaf in zip(names, leaves, strict=True))
        raise ValueError(f"predict: {wanted}, but {lengths}")
    if leaves[0].shape[0] == 0:
        raise ValueError(f"predict: {names[0]} is empty: it has 0 rows; {wanted}")


def _check_outputs(out_spec: Tree, outputs: list[Tensor], rows: int) -> None:
    """Refuse outputs of several rows that are not the batch's: they cannot be joined to one row a sample."""
    for i, output in enumerate(outputs):
        if output.dim() and output.shape[0] != rows:
            name = out_spec.names("output")[i]
            raise ValueError(
                f"predict: the model's {name} has shape {list(output.shape)} for a batch of {rows} rows, and outputs "
                "of batches are joined along the first dimension: predict with a model that returns rows first (a "
                "module around this one that returns only what is wanted, transposed if need be)"
            )


def _steps(trainer: Trainer, data: Data, mode: str) -> Any:
    """Run the engine over the data: (batch, (loss, stats, outputs)) for each batch."""
    provider = trainer._provider
    modes = provider.modes if trainer._running else Modes(provider.step_modules())
    before, provider.modes, spec = provider.modes, modes, provider.spec
    provider.spec = lambda mode: data.spec()
    engine: _C.StepEngine | None = None
    data.source.begin_epoch()
    try:
        with modes.inside("eval"):
            while (batch := data.source.next()) is not None:
                engine = engine or _engine(trainer, data)  # a loader's batches have to be seen to know which
                yield batch, engine.step(mode, batch)
    finally:
        data.source.end_epoch()
        if not trainer._running:
            modes.restore()
        provider.modes, provider.spec = before, spec


def _engine(trainer: Trainer, data: Data) -> _C.StepEngine:
    """The training engine if its plans fit these batches, else one for the occasion."""
    wanted = fingerprint(trainer._provider, data.spec(), data.spec())
    if trainer._engine is not None and trainer._engine_for == wanted:
        return trainer._engine
    if trainer._inference_engine is None or trainer._inference_for != wanted:
        trainer._inference_engine, trainer._inference_for = trainer._provider.engine(), wanted
    return trainer._inference_engine
