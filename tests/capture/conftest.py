"""What the capture tests share: the two generator operators, if the C++ library is not loaded."""

from __future__ import annotations

import contextlib

import torch

with contextlib.suppress(ImportError):
    import pyhooks._C  # noqa: F401

if not hasattr(torch.ops.pyhooks, "get_rng"):

    def _set_rng(state: torch.Tensor) -> None:
        torch.default_generator.set_state(state)

    _library = torch.library.Library("pyhooks", "FRAGMENT")
    _library.define("get_rng() -> Tensor")
    _library.define("set_rng(Tensor state) -> ()")
    _library.impl("get_rng", lambda: torch.default_generator.get_state(), "CompositeExplicitAutograd")
    _library.impl("set_rng", _set_rng, "CPU")
