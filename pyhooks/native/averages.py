"""Native callbacks that keep averages of the weights."""

from __future__ import annotations

from typing import Literal

from pyhooks.native.base import BuiltIn

__all__ = ["EMA", "SWA"]


class EMA(BuiltIn):
    """Keeps an exponential moving average of the weights, and validates with it.

    Each update is ``average = decay * average + (1 - decay) * weights``, for all parameters at once. The first one
    copies the weights, as ``torch.optim.swa_utils.AveragedModel`` does, and later ones give the bits it gives with
    ``get_ema_multi_avg_fn(decay)``. With a ramp (``warmup`` or ``tau``), which keeps the first steps' weights from
    lingering, the average starts at the weights before training instead.

    The model keeps its own weights, except during validation: from ``on_val_start`` to ``on_val_end`` it has the
    averages, so ``val/loss``, the fitness and the best epoch are theirs. Whatever ends validation gives the model back
    what was trained. Of several callbacks that validate with their averages the last one counts.

    Read the averages with ``trainer.averaged_weights()``; compute with them inside ``with trainer.averaged():``. A
    checkpoint holds both, so a resumed run goes on with the same averages; :func:`pyhooks.checkpoint.load_weights` puts
    either into a model.

    Args:
        decay: how much of the average an update keeps, in [0, 1). Default: 0.9999.
        warmup: of the n-th update (n from 1) the decay is ``min(decay, (1 + n) / (10 + n))``, as TensorFlow's. Default:
            False.
        tau: of the n-th update the decay is ``decay * (1 - exp(-n / tau))``, as Ultralytics' (there 2000). Default:
            None, no such ramp.
        every: optimizer steps an update. Default: 1.
        buffers: "copy" the model's buffers at each update (default), or "average" them like parameters: AveragedModel's
            ``use_buffers``.
        validate: validate with the averages. Default: True.
        final: give the model the averages at ``on_train_end``, for good. Default: False.

    Raises:
        ValueError: a value out of range, or both ramps.

    Example:
        >>> EMA(decay=0.999, tau=2000)
        EMA(decay=0.999, warmup=False, tau=2000, every=1, buffers='copy', validate=True, final=False)
    """

    registry_name = "ema"

    def __init__(
        self,
        decay: float = 0.9999,
        *,
        warmup: bool = False,
        tau: float | None = None,
        every: int = 1,
        buffers: Literal["copy", "average"] = "copy",
        validate: bool = True,
        final: bool = False,
    ) -> None:
        super().__init__(
            self.registry_name,
            decay=decay,
            warmup=warmup,
            tau=tau,
            every=every,
            buffers=buffers,
            validate=validate,
            final=final,
        )


class SWA(BuiltIn):
    """Averages the weights of the last epochs equally: stochastic weight averaging (Izmailov et al., 2018).

    The average has the bits of ``torch.optim.swa_utils.AveragedModel(model)`` updated at the same moments. The model
    keeps its own weights unless ``validate`` or ``final`` say otherwise; see :class:`EMA` for how to read, use and load
    the average.

    Batch norm's statistics belong to the weights they were gathered with. With averaged weights gather them anew, by
    ``torch.optim.swa_utils.update_bn(loader, model)`` after a ``fit`` with ``final=True`` or inside
    ``with trainer.averaged() as model:`` (before saving there), or let them be averaged by ``buffers="average"``.

    Args:
        start: the epoch it starts in, from 0; below 1 the share of the run's epochs that come before. Default: 0.75.
        every: epochs an update, or steps. Default: 1.
        per: whether ``every`` counts the ends of "epoch" (default: before validation) or each optimizer "step".
        lr: the learning rate it goes to from the start on, whatever the schedule says. Default: None, left alone.
        anneal_epochs: epochs it takes to get there, as torch's ``SWALR`` stepped after each epoch from the start on; 0:
            at once. Default: 10.
        anneal: "cos" (default) or "linear".
        buffers: "copy" the model's buffers at each update (default), or "average" them like parameters.
        validate: validate with the average, once there is one. Default: False.
        final: give the model the average at ``on_train_end``, for good. Default: False.

    Raises:
        ValueError: a value out of range.

    Example:
        >>> SWA(start=10, lr=0.05).options["start"]
        10
    """

    registry_name = "swa"

    def __init__(
        self,
        start: float = 0.75,
        *,
        every: int = 1,
        per: Literal["epoch", "step"] = "epoch",
        lr: float | None = None,
        anneal_epochs: int = 10,
        anneal: Literal["cos", "linear"] = "cos",
        buffers: Literal["copy", "average"] = "copy",
        validate: bool = False,
        final: bool = False,
    ) -> None:
        super().__init__(
            self.registry_name,
            start=start,
            every=every,
            per=per,
            lr=lr,
            anneal_epochs=anneal_epochs,
            anneal=anneal,
            buffers=buffers,
            validate=validate,
            final=final,
        )
