"""Native callbacks: C++ that runs on every batch, without Python and without the GIL.

An object here is a recipe, a name and options, checked when it is made; each trainer it is added to makes its own C++
object. The same object can be added to several trainers.
"""

from pyhooks.native.averages import EMA, SWA
from pyhooks.native.base import NativeCallback, OptionValue, available
from pyhooks.native.c_function import CFunction
from pyhooks.native.gradients import GradClip, GradNoiseScale, GradNorm
from pyhooks.native.guards import LossSpike, LRMonitor, NaNGuard, StepTimer, Throughput, TimeLimit
from pyhooks.native.hooks import (
    ActivationStats,
    GradNoise,
    GradScale,
    GradStats,
    NativeHook,
    available_hooks,
)
from pyhooks.native.meters import LossMeter

__all__ = [
    "EMA",
    "SWA",
    "ActivationStats",
    "CFunction",
    "GradClip",
    "GradNoise",
    "GradNoiseScale",
    "GradNorm",
    "GradScale",
    "GradStats",
    "LRMonitor",
    "LossMeter",
    "LossSpike",
    "NaNGuard",
    "NativeCallback",
    "NativeHook",
    "OptionValue",
    "StepTimer",
    "Throughput",
    "TimeLimit",
    "available",
    "available_hooks",
]
