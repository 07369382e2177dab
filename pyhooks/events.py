"""The events of a training run, as the compiled core lists them (csrc/include/pyhooks/events.def)."""

from __future__ import annotations

import difflib

from pyhooks import _C

KINDS: dict[str, str] = dict(_C.events())
"""Event name to kind: "run", "epoch" or "batch"; in the order of events.def."""

NATIVE_WAYS = """Python runs between epochs only, because a Python call per batch would cost more than many a
training step. Instead:
  - use an event Python may listen to, as on_train_epoch_end, and read trainer.history.batch there: it holds them all;
  - use a built-in native callback: pyhooks.native.GradClip, NaNGuard, LossMeter, ...;
  - decorate the function with pyhooks.native_callback(event), which compiles it to native code (needs numba);
  - write one in C++, a source that ends with PYHOOKS_CALLBACK, and load it with pyhooks.load_plugin("my_hooks.cpp");
  - log values from a native callback with ctx.log(name, value) and look at trainer.metrics[name] after the epoch."""


def check(name: object) -> str:
    """Return the event's name.

    Raises:
        TypeError: ``name`` is no string.
        ValueError: there is no such event; the message names all, and the nearest.

    Example:
        >>> check("on_train_epoch_end")
        'on_train_epoch_end'
    """
    if not isinstance(name, str):
        raise TypeError(f"an event is named by a string, as 'on_train_epoch_end'; got {type(name).__name__}")
    if name in KINDS:
        return name
    near = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"no event {name!r}{hint} The events: {', '.join(KINDS)}")


def check_python(name: str) -> str:
    """Return the event's name if Python may listen to it; ValueError with the native ways if it is a batch event."""
    if KINDS[check(name)] == "batch":
        raise ValueError(f"a Python function cannot listen to {name!r}: it fires on every batch. {NATIVE_WAYS}")
    return name
