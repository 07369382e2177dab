"""Names of files, made of an epoch's numbers."""

from __future__ import annotations

import string
from collections.abc import Sequence

from pyhooks.callbacks.protocol import TrainerLike


class FileNames:
    """A template such as "{epoch:03d}-{val/loss:.3f}".

    Args:
        who: the callback, for its errors.
        template: fields are ``epoch`` (from 1), ``step``, and the run's metrics; one of the first two must be there.

    Raises:
        TypeError: the template is no text.
        ValueError: it is no template, would make a name in another folder, or does not tell epochs apart.

    Example:
        >>> FileNames("Checkpoint", "{epoch:03d}-{val/loss:.3f}").fields
        ['epoch', 'val/loss']
    """

    def __init__(self, who: str, template: str) -> None:
        if not isinstance(template, str):
            raise TypeError(f"{who} got filename={template!r}, wanted a text such as 'epoch{{epoch}}'")
        self._who, self.template = who, template
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"{who} got filename={template!r}, which is no template: {error}") from None
        self.fields = [field for _, field, _, _ in parts if field is not None]
        if any("/" in text or "\\" in text for text, *_ in parts):
            raise ValueError(f"{who} got filename={template!r}, wanted a name without folders; the folder is dir")
        if not {"epoch", "step"} & set(self.fields):
            raise ValueError(f"{who} got filename={template!r}, wanted {{epoch}} or {{step}} in it to tell files apart")

    def check(self, metric_names: Sequence[str]) -> None:
        """Refuse fields that a run with these metrics will not have."""
        known = ["epoch", "step", *metric_names]
        for field in self.fields:
            if field not in known:
                raise ValueError(
                    f"{self._who} got filename={self.template!r}: this run has no {field!r}; it has {', '.join(known)}"
                )

    def of(self, trainer: TrainerLike) -> str:
        """The name for the present epoch; a metric that the epoch lacks is nan."""
        values = {name: trainer.metrics.get(name, float("nan")) for name in trainer.metric_names}
        values |= {**trainer.metrics, "epoch": trainer.epoch + 1, "step": trainer.global_step}
        return string.Formatter().vformat(self.template, (), values)
