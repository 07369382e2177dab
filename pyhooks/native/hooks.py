"""Native tensor hooks: C++ that sees, or replaces, tensors inside the model, for :meth:`pyhooks.Trainer.add_hook`.

An object here is a recipe, a name and options, checked when it is made; each ``add_hook`` makes its own C++ object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pyhooks import _C
from pyhooks.native.base import OptionValue, plain_option


class NativeHook:
    """A native tensor hook by its registered name.

    Args:
        name: as the C++ class is registered, say "grad_scale".
        options: what the class declares; see :func:`available_hooks`.

    Raises:
        TypeError: an option that is no plain value.
        ValueError: no such hook, or options it does not take.

    Example:
        >>> NativeHook("grad_scale", factor=0.5).replaces
        True
    """

    def __init__(self, name: str, /, **options: OptionValue) -> None:
        self.name = name
        self.options = {key: plain_option(name, key, value) for key, value in options.items()}
        self.replaces: bool = self.make().replaces

    def make(self) -> _C.TensorHook:
        """Make the C++ object."""
        return _C.make_tensor_hook(self.name, self.options)

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name if type(self) is NativeHook else type(self).__name__

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.options.items() if value is not None)
        return f"{type(self).__name__}({given})"


class _Stats(NativeHook):
    registry_name: ClassVar[str]

    def __init__(
        self,
        stats: Sequence[str] = ("mean", "std", "norm", "zeros", "nonfinite"),
        *,
        bins: int = 64,
        range: float | None = None,
    ) -> None:
        names = stats if isinstance(stats, str) else ", ".join(stats)
        super().__init__(self.registry_name, stats=names, bins=bins, range=range)


class ActivationStats(_Stats):
    """Logs statistics of what modules return, for ``on="output"``.

    Each is a column of ``trainer.history.batch``, as ``"fc1/output/mean"``, and its mean over the epoch a metric of
    that name. Computed in the tensor's own precision, of half and bfloat16 in float.

    Args:
        stats: which: "mean", "std" (of the population, ``x.std(correction=0)``), "norm" (the 2-norm), "zeros" (the
            share of exact zeros), "nonfinite" (how many are NaN or infinite), and "histogram", which is logged nowhere:
            ``handle.histogram("fc1")`` reads it. Default: all but the histogram.
        bins: of the histogram. Default: 64.
        range: the histogram goes from -range to range; what lies outside counts in the first and the last bin, NaN
            nowhere. Default: None, the largest absolute value of the run's first tensor.

    Raises:
        ValueError: an unknown statistic; bins or range out of range.

    Example:
        >>> ActivationStats(["mean", "zeros"])
        ActivationStats(stats='mean, zeros', bins=64)
    """

    registry_name = "activation_stats"


class GradStats(_Stats):
    """Logs statistics of gradients, for ``on="grad"`` and ``on="param_grad"``.

    Columns are named as ``"fc1/grad/norm"`` and ``"fc1.weight/param_grad/norm"``; else as :class:`ActivationStats`.

    Args:
        stats: as of :class:`ActivationStats`.
        bins: of the histogram. Default: 64.
        range: of the histogram. Default: None, the largest absolute value of the run's first tensor.

    Raises:
        ValueError: an unknown statistic; bins or range out of range.

    Example:
        >>> GradStats("norm")
        GradStats(stats='norm', bins=64)
    """

    registry_name = "grad_stats"


class GradScale(NativeHook):
    """Multiplies gradients by a number, for ``on="grad"`` and ``on="param_grad"``.

    On a layer's output gradient it scales what flows back through it, as ``register_hook(lambda g: g * factor)``.

    Args:
        factor: the number; a negative one reverses the gradient.

    Raises:
        ValueError: the factor is not finite.

    Example:
        >>> GradScale(0.1)
        GradScale(factor=0.1)
    """

    def __init__(self, factor: float) -> None:
        super().__init__("grad_scale", factor=factor)


class GradNoise(NativeHook):
    """Adds Gaussian noise to gradients, for ``on="grad"`` and ``on="param_grad"``.

    After t optimizer steps the noise has the variance ``std**2 / (1 + t)**decay`` (Neelakantan et al., "Adding gradient
    noise improves learning for very deep networks", 2015, whose eta is ``std**2`` and gamma ``decay``): it is
    ``torch.add(grad, torch.randn_like(grad), alpha=std / (1 + t)**(decay / 2))``, drawn from the default generator.

    Args:
        std: standard deviation at the first step. Default: 0.1.
        decay: how fast the variance falls; 0: not at all. Default: 0.55.

    Raises:
        ValueError: one is below 0, or not finite.

    Example:
        >>> GradNoise(std=0.01)
        GradNoise(std=0.01, decay=0.55)
    """

    def __init__(self, std: float = 0.1, decay: float = 0.55) -> None:
        super().__init__("grad_noise", std=std, decay=decay)


def available_hooks() -> dict[str, str]:
    """The registered tensor hooks: name to what it does.

    Example:
        >>> available_hooks()["grad_scale"]
        'Multiplies gradients by a number.'
    """
    return {native.name: native.help for native in _C.native_classes("tensor_hook")}
