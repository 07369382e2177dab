import math

import pytest

from pyhooks.callbacks import Callback, Monitor


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("val/loss", "min"),
        ("val/accuracy", "max"),
        ("train/mae", "min"),
        ("val/r2", "max"),
        ("val/top_5", "max"),
        ("val/top5", "max"),
        ("val/box_loss", "min"),
        ("val/mAP50-95", "max"),
        (None, "max"),
    ],
)
def test_auto_mode_follows_the_name(name, mode):
    assert Monitor(name).mode == mode


def test_auto_mode_refuses_a_name_that_does_not_tell():
    with pytest.raises(ValueError, match=r"'val/temperature'.*mode="):
        Monitor("val/temperature")
    assert Monitor("val/temperature", mode="max").mode == "max"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"monitor": 3}, TypeError),
        ({"monitor": ""}, TypeError),
        ({"mode": "lower"}, ValueError),
        ({"strict": 0}, TypeError),
    ],
)
def test_wrong_options_are_refused_when_given(options, error):
    with pytest.raises(error, match="Monitor got"):
        Monitor(**options)


def test_a_metric_this_run_will_not_make_is_refused_with_those_it_will_nearest_first(trainer):
    trainer.metric_names = ["train/loss", "lr/pg0", "val/accuracy"]
    with pytest.raises(ValueError, match=r"'val/acuracy'.*will produce val/accuracy, .*train/loss"):
        Monitor("val/acuracy", mode="max").on_pretrain_routine_end(trainer)


def test_a_metric_this_run_will_not_make_is_warned_of_where_that_is_allowed(trainer):
    with pytest.warns(UserWarning, match=r"'val/acuracy', which this run will not produce; it will produce val/loss"):
        Monitor("val/acuracy", mode="max", strict=False).on_pretrain_routine_end(trainer)


def test_what_is_better():
    monitor = Monitor("val/accuracy")
    assert monitor.is_better(0.5)
    monitor.best = 0.5
    assert [monitor.is_better(value) for value in (0.5, 0.7, math.nan, math.inf)] == [False, True, False, False]
    assert monitor.gain(0.75, 0.5) == Monitor("val/loss").gain(0.5, 0.75) == 0.25


def test_a_first_nan_is_not_kept(trainer, losses):
    monitor = Monitor()
    trainer.metrics = losses(math.nan)[0]
    assert not monitor.update(trainer)
    assert monitor.best is None


def test_state_goes_round_and_survives_the_next_start_only(trainer):
    monitor = Monitor()
    monitor.best, monitor.best_epoch = 0.5, 3
    other = Monitor()
    other.load_state_dict(monitor.state_dict())
    other.on_train_start(trainer)
    assert (other.best, other.best_epoch) == (0.5, 3)
    other.on_train_start(trainer)
    assert other.best is None


def test_the_base_class_listens_to_nothing_of_a_batch():
    assert not [name for name in vars(Callback) if "batch" in name or "backward" in name or name == "optimizer_step"]
