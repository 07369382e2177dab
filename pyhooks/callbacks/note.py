"""What lies beside a checkpoint for people to read."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any

from pyhooks.callbacks.protocol import TrainerLike
from pyhooks.callbacks.ranking import Ranking


def note(trainer: TrainerLike, file: str, rankings: Sequence[Ranking]) -> str:
    """The epoch, its metrics, the best so far and the time, as JSON.

    Args:
        trainer: at the end of the epoch.
        file: the checkpoint's name.
        rankings: the bests, by metric.
    """
    content = {
        "file": file,
        "epoch": trainer.epoch + 1,
        "epochs": trainer.epochs,
        "global_step": trainer.global_step,
        "metrics": {name: _readable(value) for name, value in trainer.metrics.items()},
        "best": [_best(trainer, ranking) for ranking in rankings],
        "saved": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _best(trainer: TrainerLike, ranking: Ranking) -> dict[str, Any]:
    return {
        "monitor": ranking.monitor or "fitness",
        "value": _readable(ranking.value(trainer)),
        "best": _readable(ranking.best),
        "best_epoch": None if ranking.best_epoch is None else ranking.best_epoch + 1,
    }


def _readable(value: float | None) -> Any:
    """The number, or its name where JSON has no number for it."""
    return value if value is None or math.isfinite(value) else str(value)
