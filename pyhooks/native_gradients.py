"""Native callbacks that measure gradients."""

from __future__ import annotations

from pyhooks.native import _BuiltIn

__all__ = ["GradNoiseScale", "GradNorm"]


class GradNorm(_BuiltIn):
    """Logs the total norm of the gradients of each optimizer step, with the bits of ``torch.nn.utils.get_total_norm``.

    It appears as a column of ``trainer.history.batch`` (NaN at batches that do not end with a step) and, averaged over
    the epoch, in ``trainer.metrics``.

    Args:
        norm_type: the p of the p-norm, above 0; ``math.inf``: the largest absolute value. Default: 2.
        per_parameter: log each parameter's norm as well, as ``<name>/<parameter>``. Default: False.
        after_clipping: measure what the optimizer gets. Default: False, what backward left, before any clipping (but
            where a stop, or a source that cannot tell its length, cuts an accumulation group short, after it).
        name: of the column and the metric. Default: "grad_norm".

    Raises:
        ValueError: the norm type is not above 0.

    Example:
        >>> GradNorm(per_parameter=True).events
        ['on_backward_end', 'optimizer_step', 'on_before_zero_grad']
    """

    registry_name = "grad_norm"

    def __init__(
        self,
        norm_type: float = 2.0,
        *,
        per_parameter: bool = False,
        after_clipping: bool = False,
        name: str = "grad_norm",
    ) -> None:
        super().__init__(
            self.registry_name,
            norm_type=norm_type,
            per_parameter=per_parameter,
            after_clipping=after_clipping,
            name=name,
        )


class GradNoiseScale(_BuiltIn):
    """Logs the simple noise scale: about the batch size beyond which larger batches hardly save steps.

    It is tr(Sigma) / |G|^2 of McCandlish et al., "An Empirical Model of Large-Batch Training" (2018), with G the mean
    gradient and Sigma the covariance of single rows' gradients. Both are estimated from the squared norms of gradients
    at two batch sizes (their appendix A.1), averaged over time, and divided. With gradient accumulation the two sizes
    are a group's first batch and the whole group. Without, they are two consecutive batches and the mean of both: the
    step between them is taken to leave G as it was, which holds while steps are small. In both cases gradients count as
    backward left them, and the loss must be a mean over rows.

    It appears as a column of ``trainer.history.batch`` (NaN where there is no new estimate, or while the estimated
    |G|^2 is not above 0) and, averaged over the epoch, in ``trainer.metrics``. The moving averages, "trace" and
    "signal" of ``trainer.native_state("GradNoiseScale")``, are to be divided by 1 - beta^k after k estimates.

    Args:
        beta: how much of the moving averages an estimate keeps, in [0, 1). Default: 0.99.
        every: optimizer steps from one estimate to the next (without accumulation one takes two). Default: 1.
        name: of the column and the metric. Default: "noise_scale".

    Raises:
        ValueError: a value out of range.

    Example:
        >>> GradNoiseScale(beta=0.95)
        GradNoiseScale(beta=0.95, every=1, name='noise_scale')
    """

    registry_name = "grad_noise_scale"

    def __init__(self, beta: float = 0.99, *, every: int = 1, name: str = "noise_scale") -> None:
        super().__init__(self.registry_name, beta=beta, every=every, name=name)
