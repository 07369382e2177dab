"""Keeping model, optimizer and random numbers as they are around a run that is only a trial."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@contextmanager
def kept(modules: list[nn.Module], optimizer: Optimizer, train: Any) -> Iterator[None]:
    """Whatever a run changes is afterwards as it was: the same objects, with the same bits.

    Args:
        modules: parameters, their gradients, buffers, and what ``get_extra_state`` returns.
        optimizer: its state and its groups.
        train: training data; the generators that a DataLoader draws from.
    """
    back = [_keep_module(module) for module in modules]
    back += [_keep_optimizer(optimizer), _keep_random(train)]
    try:
        yield
    finally:
        for put in back:
            put()


def _keep_module(root: nn.Module) -> Any:
    parameters = [(p, p.detach().clone(), p.grad) for p in root.parameters()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in root.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    extra = copy.deepcopy({key: value for key, value in root.state_dict().items() if "_extra_state" in key})

    @torch.no_grad()
    def put() -> None:
        for parameter, value, grad in parameters:
            parameter.copy_(value)
            parameter.grad = grad
        for module, name, buffer, value in buffers:
            module._buffers[name] = buffer.copy_(value)
        if extra:
            root.load_state_dict(extra, strict=False)

    return put


def _keep_optimizer(optimizer: Optimizer) -> Any:
    """Its state is lent out as a copy; its own is not touched."""
    groups = [
        {key: copy.deepcopy(value) for key, value in g.items() if key != "params"} for g in optimizer.param_groups
    ]
    state = optimizer.state
    optimizer.state = defaultdict(dict, {key: copy.deepcopy(value) for key, value in state.items()})

    @torch.no_grad()
    def put() -> None:
        optimizer.state = state
        for group, values in zip(optimizer.param_groups, groups, strict=True):
            for key, value in values.items():
                if isinstance(value, Tensor) and isinstance(group[key], Tensor):
                    group[key].copy_(value)
                else:
                    group[key] = value

    return put


def _keep_random(train: Any) -> Any:
    """Torch's default generator, Python's, NumPy's, and those that a DataLoader draws its order from."""
    holders = [train, getattr(train, "sampler", None), getattr(getattr(train, "batch_sampler", None), "sampler", None)]
    owned = {id(g): g for holder in holders if isinstance(g := getattr(holder, "generator", None), torch.Generator)}
    generators = [torch.default_generator, *owned.values()]
    states = [generator.get_state() for generator in generators]
    python, array = random.getstate(), np.random.get_state()

    def put() -> None:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        random.setstate(python)
        np.random.set_state(array)

    return put
