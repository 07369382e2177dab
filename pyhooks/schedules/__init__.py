"""Schedules as short descriptions: ``warmup(0.05) + cosine(to=0.01)``.

A description says how a value moves in the course of a run, and how long each piece takes: a share of the run, epochs
or optimizer steps. What it moves is said where it is used, as ``scheduler=`` of the trainer: the learning rate, or a
dict of several. Values are factors of what the optimizer was made with, so each parameter group keeps its own size.

    warmup(0.05) + cosine(to=0.01)               # 5 % of the run up, the rest down to a hundredth
    warmup(steps=500) + constant(0.6) + linear() # 500 steps up, 60 % of the run there, the rest down to 0
    cosine(start=1, epochs=10) * 3               # warm restarts

A piece's n steps go from its start to just before its end, which is where the next piece begins: the step after
``warmup(steps=500)`` is the first with the full rate. ``docs/schedules.md`` has what other libraries call these.
"""

from pyhooks.schedules.make import (
    chained,
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    one_cycle_momentum,
    polynomial,
    warmup,
)
from pyhooks.schedules.shape import Shape, absolute

__all__ = [
    "Shape",
    "absolute",
    "chained",
    "constant",
    "cosine",
    "exponential",
    "linear",
    "one_cycle",
    "one_cycle_momentum",
    "polynomial",
    "warmup",
]
