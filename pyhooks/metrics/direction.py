"""Guessing from a metric's name which way it gets better."""

from __future__ import annotations

import re
from typing import Literal

# fmt: off
_LOWER = frozenset({
    "loss", "error", "err", "mae", "mse", "rmse", "mape", "nll", "bce", "perplexity", "ppl", "wer", "cer",
    "fid", "regret",
})
_HIGHER = frozenset({
    "accuracy", "acc", "top", "r2", "auc", "auroc", "ap", "map", "f1", "fbeta", "precision", "recall",
    "sensitivity", "specificity", "iou", "miou", "dice", "bleu", "psnr", "ssim", "score", "fitness",
    "reward", "kappa", "mcc", "ndcg",
})
# fmt: on


def direction(name: str) -> Literal["min", "max"] | None:
    """Which way a metric of this name gets better, or None when the name does not tell.

    Example:
        >>> direction("val/loss"), direction("val/top_5"), direction("val/temperature")
        ('min', 'max', None)
    """
    words = re.findall(r"[a-z]+[0-9]*", name.lower().rsplit("/", 1)[-1])
    stems = {stem for word in words for stem in (word, word.rstrip("0123456789"))}
    if stems & _LOWER:
        return "min"
    return "max" if stems & _HIGHER else None
