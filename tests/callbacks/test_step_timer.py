"""StepTimer in a trainer; that the times are those of the row's batch is tested in tests/cpp/test_watchers.cpp."""

from __future__ import annotations

import pytest
from trainer_helpers import points, trainer_of

from pyhooks.native import StepTimer

COLUMNS = ["time/data", "time/step", "time/callbacks"]


def test_every_batch_has_its_times_and_the_epoch_their_means() -> None:
    result = trainer_of(callbacks=[StepTimer()]).fit(points(32), points(9, 1), epochs=2, batch_size=8)
    for name in COLUMNS:
        column = result.history.batch[name]
        assert len(column) == 8 and (column > 0).all(), name
        assert result.metrics[name] == pytest.approx(column[4:].mean())


def test_without_it_nothing_is_timed() -> None:
    result = trainer_of().fit(points(32), epochs=1, batch_size=8)
    assert not set(COLUMNS) & {*result.history.batch, *result.metrics}


def test_the_metrics_are_known_beforehand() -> None:
    names: list[list[str]] = []
    trainer = trainer_of(callbacks=[StepTimer(), StepTimer()])
    trainer.add_callback("on_train_start", lambda t: names.append(t.metric_names))
    result = trainer.fit(points(24), epochs=1, batch_size=8)
    assert names == [["train/loss", "lr/pg0", *COLUMNS]] and set(result.metrics) == set(names[0])
