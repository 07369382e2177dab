"""Python callbacks: they listen to runs and epochs, and are plain Python."""

from pyhooks.callbacks.base import Callback
from pyhooks.callbacks.checkpoint import Checkpoint
from pyhooks.callbacks.csv_logger import CSVLogger
from pyhooks.callbacks.early_stopping import EarlyStopping
from pyhooks.callbacks.lr_finder import LRFinder
from pyhooks.callbacks.monitor import Monitor
from pyhooks.callbacks.progress_bar import ProgressBar
from pyhooks.callbacks.what_if_stopping import WhatIf, WhatIfStopping

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "LRFinder",
    "Monitor",
    "ProgressBar",
    "WhatIf",
    "WhatIfStopping",
]
