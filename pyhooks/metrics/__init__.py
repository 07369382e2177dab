"""Metrics: a vector of statistics per batch, summed natively over the epoch, then turned into one value.

A metric never averages batch values: ``stats`` runs inside the captured step and returns *sums*, which the
native loop adds up in float64, and ``compute`` makes the epoch's value of the total. An accuracy over batches
of 64, 64 and 7 rows is therefore the accuracy over 135 rows.
"""

from __future__ import annotations

from pyhooks.metrics.base import Metric
from pyhooks.metrics.classification import TopK, accuracy, top_k
from pyhooks.metrics.direction import direction
from pyhooks.metrics.mean import MeanMetric, as_metric
from pyhooks.metrics.regression import R2, MeanError, mae, mse, r2

__all__ = [
    "R2",
    "MeanError",
    "MeanMetric",
    "Metric",
    "TopK",
    "accuracy",
    "as_metric",
    "direction",
    "mae",
    "mse",
    "r2",
    "top_k",
]
