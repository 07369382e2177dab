"""A torch.optim object and its native twin: who steps, and whose numbers are whose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from pyhooks import _C
from pyhooks.warn import warn_user
from pyhooks.weak import weakly

Hyper = tuple[float, float, float, float, float]
_NATIVE_OPTIONS = ("eps", "dampening", "lr_decay", "nesterov", "maximize", "amsgrad")


def fused_kind(optimizer: Optimizer) -> str | None:
    """The registry name of the fused optimizer that equals this one; None if there is none."""
    kinds = {
        torch.optim.SGD: "sgd",
        torch.optim.Adam: "adam",
        torch.optim.AdamW: "adamw",
        torch.optim.Adagrad: "adagrad",
    }
    kind = kinds.get(type(optimizer))
    groups = optimizer.param_groups
    if kind == "adam" and any(group.get("decoupled_weight_decay") for group in groups):
        kind = "adamw" if all(group.get("decoupled_weight_decay") for group in groups) else None
    if _step_is_changed(optimizer) or any(group.get("differentiable") for group in groups):
        return None
    dense = all(p.is_floating_point() and p.layout == torch.strided for group in groups for p in group["params"])
    return kind if dense else None


def _step_is_changed(optimizer: Optimizer) -> bool:
    """Whether somebody has hooked or replaced ``optimizer.step``; a scheduler's own wrapper does not count."""
    hooks = (
        optimizer._optimizer_step_pre_hooks,
        optimizer._optimizer_step_post_hooks,
        _global_optimizer_pre_hooks,
        _global_optimizer_post_hooks,
    )
    step: Any = vars(optimizer).get("step")
    of_scheduler = getattr(step, "_wrapped_by_lr_sched", False) and step.__wrapped__ is type(optimizer).step
    return any(hooks) or not (step is None or of_scheduler)


class OptimizerBridge:
    """Keeps a ``torch.optim`` object and the native optimizer that steps for it in agreement.

    State tensors are shared, so the native steps change ``optimizer.state`` in place; what is made natively is handed
    over by :meth:`pull`. Hyper-parameters go to native code at each epoch's start (:meth:`push`) and come back after
    its batches.

    Args:
        optimizer: the user's.
        params: the trained parameters by name, in the engine's order.
        sparse: whether some of their gradients are sparse, which the native kernels do not take.

    Raises:
        TypeError: an optimizer that must call the loss again (LBFGS).
        ValueError: parameters are missing from the optimizer, or it has some that are not trained here.
    """

    def __init__(self, optimizer: Optimizer, params: dict[str, nn.Parameter], *, sparse: bool = False) -> None:
        self.optimizer = optimizer
        self.params = list(params.values())
        self._index = {id(p): i for i, p in enumerate(self.params)}
        self._division = _division(optimizer, self.params)
        check_parameters(optimizer, params)
        kind = None if sparse else fused_kind(optimizer)
        self._held = [] if kind is None else self._states()
        self.native: _C.Optimizer
        if kind is None:
            self._warn()
            self.native = _C.PythonOptimizer(weakly(self._step), weakly(self._tensors), len(optimizer.param_groups))
        else:
            self.native = _C.make_optimizer(
                kind, self.params, [self._group(g) for g in optimizer.param_groups], self._held
            )
        self.push()

    def push(self) -> None:
        """Hand the groups' present values to native code."""
        for i, group in enumerate(self.optimizer.param_groups):
            if isinstance(self.native, _C.FusedOptimizer):
                self.native.set_options(i, self._group(group))
            else:
                self.native.set_hyper(i, hyper_of(group))
        self._pushed = self._begin = self.native.hypers

    def pull(self) -> None:
        """Take over the state made natively, and values that a native callback has set."""
        self._pull_values()
        if not isinstance(self.native, _C.FusedOptimizer):
            return
        for param, state, held in zip(self.params, self.native.states, self._held, strict=True):
            fresh = {key: value for key, value in state.items() if key not in held}
            if fresh:
                self.optimizer.state[param].update(fresh)
                held.update(fresh)

    def is_current(self, params: dict[str, nn.Parameter]) -> bool:
        """Whether these are still the parameters, in the same groups, and their state the one native code works on."""
        if self._division != _division(self.optimizer, list(params.values())):
            return False
        states = [self.optimizer.state.get(param, {}) for param in self.params]
        return all(
            state.get(key) is value
            for state, held in zip(states, self._held, strict=False)
            for key, value in held.items()
        )

    def leave_to_schedule(self, moved: Sequence[set[int]]) -> None:
        """Put what a table has moved back to its values at :meth:`push`: who made the table will move it again.

        Args:
            moved: the fields, by number, for each group.
        """
        hypers = self.native.hypers
        for group, fields, begin, now in zip(self.optimizer.param_groups, moved, self._begin, hypers, strict=False):
            hyper = tuple(old if i in fields else new for i, (old, new) in enumerate(zip(begin, now, strict=True)))
            if not _same(hyper_of(group), hyper):  # type: ignore[arg-type]
                set_hyper(group, hyper)  # type: ignore[arg-type]
        self._pushed = hypers

    def _pull_values(self) -> None:
        groups = self.optimizer.param_groups  # a callback may have added some
        for group, old, new in zip(groups, self._pushed, self.native.hypers, strict=False):
            if not _same(old, new):
                set_hyper(group, new)
        self._pushed = self.native.hypers

    def _group(self, group: dict[str, Any]) -> dict[str, Any]:
        options = {
            key: float(group[key]) if isinstance(group[key], Tensor) else group[key]
            for key in _NATIVE_OPTIONS
            if key in group
        }
        indices = [self._index[id(p)] for p in group["params"] if id(p) in self._index]
        return {"params": indices, "hyper": hyper_of(group), **options}

    def _states(self) -> list[dict[str, Tensor]]:
        states = []
        for param in self.params:
            state = self.optimizer.state.get(param, {})
            if "step" in state:  # the fused kernels count in float32 beside the parameter
                state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=param.device)
            states.append({key: value for key, value in state.items() if isinstance(value, Tensor)})
        return states

    def _tensors(self) -> list[Tensor]:
        states = [self.optimizer.state.get(param, {}) for param in self.params]
        return [value for state in states for _, value in sorted(state.items()) if isinstance(value, Tensor)]

    def _step(self, grads: Sequence[Tensor | None], hypers: list[Hyper]) -> None:
        for group, old, new in zip(self.optimizer.param_groups, self._pushed, hypers, strict=True):
            if not _same(old, new):
                set_hyper(group, new)
        self._pushed = hypers
        for param, grad in zip(self.params, grads, strict=True):
            param.grad = grad
        self.optimizer.step()
        for param in self.params:
            param.grad = None

    def _warn(self) -> None:
        warn_user(
            f"{type(self.optimizer).__name__} has no native kernel here: each step calls its step() in "
            "Python, with the GIL held. torch.optim.SGD, Adam, AdamW and Adagrad run natively if their step is as "
            "torch made it and no gradient is sparse."
        )


def gives_sparse_gradients(modules: Sequence[nn.Module]) -> bool:
    """Whether some gradients are sparse, which the native kernels do not take."""
    parts = [part for module in modules for part in module.modules()]
    return any(isinstance(part, nn.Embedding | nn.EmbeddingBag) and part.sparse for part in parts)


def check_parameters(optimizer: Optimizer, params: dict[str, nn.Parameter]) -> None:
    """Refuse an optimizer that does not fit the model."""
    if isinstance(optimizer, torch.optim.LBFGS):
        raise TypeError(
            "LBFGS calls the loss several times a step, which a captured step cannot do; use another "
            "optimizer, or plain PyTorch"
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"] if p.requires_grad}
    missing = [name for name, p in params.items() if id(p) not in held]
    if missing:
        raise ValueError(
            f"the optimizer lacks {_count(len(missing), 'trainable parameter')}: {_some(missing)}. "
            "Make the optimizer from model.parameters(), or freeze them with requires_grad_(False)"
        )
    foreign = len(held - {id(p) for p in params.values()})
    if foreign:
        raise ValueError(
            f"the optimizer holds {_count(foreign, 'parameter')} of something else than the model and the loss: "
            "make it from this model's parameters, after any change to the model"
        )


def hyper_of(group: dict[str, Any]) -> Hyper:
    """The group's values that may change from step to step, NaN for what it lacks."""
    betas = group.get("betas", (math.nan, math.nan))
    values = (group["lr"], group.get("momentum", math.nan), betas[0], betas[1], group.get("weight_decay", math.nan))
    return tuple(float(value) for value in values)  # type: ignore[return-value]


def set_hyper(group: dict[str, Any], hyper: Hyper) -> None:
    """Write values back into a group; what it lacks stays away."""
    lr, momentum, beta1, beta2, weight_decay = hyper
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr
    if "momentum" in group:
        group["momentum"] = momentum
    if "betas" in group:
        group["betas"] = (beta1, beta2)
    if "weight_decay" in group:
        group["weight_decay"] = weight_decay


def _division(optimizer: Optimizer, params: list[nn.Parameter]) -> list[list[int]]:
    """Which parameters there are, and which are in each group."""
    return [[id(p) for p in some] for some in (params, *(group["params"] for group in optimizer.param_groups))]


def _same(a: Hyper, b: Hyper) -> bool:
    return all(x == y or (math.isnan(x) and math.isnan(y)) for x, y in zip(a, b, strict=True))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
