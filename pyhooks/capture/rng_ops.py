"""Putting activation checkpointing's handling of random numbers into the graph.

Checkpointing saves the default generator's state in the forward pass and sets it again for the recomputation.
Both are Python calls that a trace does not see. While a step is traced they become the operators
``pyhooks::get_rng`` and ``pyhooks::set_rng``, whose kernels are in the C++ library.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor

GET, SET = "pyhooks::get_rng", "pyhooks::set_rng"


@functools.cache
def _register_fakes() -> None:
    """Tell fake tensors what the two operators return."""
    size = torch.default_generator.get_state().numel()
    torch.library.register_fake(GET, lambda: torch.empty(size, dtype=torch.uint8))
    torch.library.register_fake(SET, lambda state: None)
    torch.fx.node.has_side_effect(torch.ops.pyhooks.set_rng.default)
    torch.fx.node.has_side_effect(torch.ops.pyhooks.get_rng.default)


@contextlib.contextmanager
def traced_rng_state() -> Iterator[None]:
    """While active, reading and setting the default generator's state is an operator that a trace records."""
    _register_fakes()
    checkpoint = torch.utils.checkpoint.CheckpointFunction
    saved = (torch.get_rng_state, torch.set_rng_state, torch.random.get_rng_state, torch.random.set_rng_state)
    original_apply = checkpoint.__dict__.get("apply")
    torch.get_rng_state = torch.random.get_rng_state = torch.ops.pyhooks.get_rng
    torch.set_rng_state = torch.random.set_rng_state = torch.ops.pyhooks.set_rng
    checkpoint.apply = _apply_reentrant  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.get_rng_state, torch.set_rng_state = saved[:2]
        torch.random.get_rng_state, torch.random.set_rng_state = saved[2:]
        if original_apply is None:
            del checkpoint.apply
        else:
            checkpoint.apply = original_apply  # type: ignore[method-assign]


def _apply_reentrant(run: Any, preserve_rng_state: bool, *args: Any) -> Any:
    """Reentrant checkpointing without the recomputation, which ``torch.autograd.grad`` does not allow.

    The result is the same bit for bit, since the recomputation would see the same random numbers; the memory
    that checkpointing saves is not saved.
    """
    if not preserve_rng_state:
        raise RuntimeError("checkpoint(..., preserve_rng_state=False) needs use_reentrant=False")
    needs_grad = any(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
    with torch.set_grad_enabled(needs_grad and torch.is_grad_enabled()):  # as the autograd function behaves
        return run(*args)
