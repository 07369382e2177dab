import math

import pytest
import torch

from pyhooks.callbacks import EarlyStopping


def test_stops_after_patience_epochs_without_a_better_value(trainer, losses):
    stopper = EarlyStopping(patience=2)
    trainer.run(losses(1.0, 0.5, 0.6, 0.7, 0.1), stopper)
    assert trainer.epoch == stopper.stopped_epoch == 3
    assert stopper.best == 0.5
    assert trainer.stop_reason == "val/loss has not got better for 2 epochs (best 0.5 in epoch 2, now 0.7)"


def test_does_not_stop_while_it_gets_better(trainer, losses):
    trainer.run(losses(5, 4, 3, 2, 1), EarlyStopping(patience=1))
    assert not trainer.stop


def test_min_delta_counts_small_gains_as_none(trainer, losses):
    trainer.run(losses(1.0, 0.95, 0.91, 0.5), EarlyStopping(patience=2, min_delta=0.1))
    assert trainer.epoch == 2


def stops(trainer, rows, **options) -> tuple[int, str] | None:
    """The epoch of the stop and its reason, or None; the stop is the run's last epoch."""
    stopper = EarlyStopping(**options)
    trainer.run(rows, stopper)
    if stopper.stopped_epoch is None:
        assert not trainer.stop
        return None
    assert trainer.epoch == stopper.stopped_epoch
    return stopper.stopped_epoch, trainer.stop_reason


def test_a_value_that_is_no_number_stops_at_once(trainer, losses):
    assert stops(trainer, losses(1.0, math.nan, 0.5)) == (1, "val/loss is nan")
    assert stops(trainer, losses(1.0, 0.5, math.inf)) == (2, "val/loss is inf")


def test_without_check_finite_it_is_no_gain(trainer, losses):
    bad = losses(math.nan, math.nan, 0.5)
    assert stops(trainer, bad, patience=2, check_finite=False) == (1, "val/loss was never a number in 2 epochs")
    assert stops(trainer, losses(math.inf, 0.5, math.nan, 0.4), patience=2, check_finite=False) is None


def test_a_relative_min_delta_is_a_share_of_the_value_to_beat(trainer, losses):
    rows = losses(100, 95, 91, 82, 80)
    assert stops(trainer, rows, patience=2, min_delta=0.1, relative=True) == (
        2,
        "val/loss has not got better for 2 epochs (best 91 in epoch 3, now 91)",
    )
    assert stops(trainer, rows, patience=2, min_delta=0.04, relative=True) is None
    assert stops(trainer, rows, patience=2, min_delta=0.1) is None


def test_small_gains_add_up_unless_told_not_to(trainer, losses):
    rows = losses(1.0, 0.94, 0.88, 0.82, 0.76)
    assert stops(trainer, rows, patience=2, min_delta=0.1) is None
    assert stops(trainer, rows, patience=2, min_delta=0.1, cumulative=False)[0] == 2


def test_the_baseline_has_to_be_beaten_too(trainer, losses):
    assert stops(trainer, losses(1.0, 0.9, 0.8), patience=3, baseline=0.5) == (
        2,
        "val/loss has not got better than the baseline for 3 epochs (best 0.8 in epoch 3, now 0.8)",
    )
    assert stops(trainer, losses(1.0, 0.9, 0.4, 0.9), patience=3, baseline=0.5) is None


def test_a_target_reached_stops(trainer, losses):
    assert stops(trainer, losses(1.0, 0.3, 0.2), target=0.3) == (1, "val/loss has reached 0.3 (target 0.3)")
    rows = [{"val/accuracy": 0.5}, {"val/accuracy": 0.96}]
    trainer.metric_names = ["val/accuracy"]
    assert stops(trainer, rows, monitor="val/accuracy", target=0.95)[0] == 1


def test_divergence_stops(trainer, losses):
    assert stops(trainer, losses(1.0, 4.0, 4.1), divergence=4.0) == (
        2,
        "val/loss is 4.1, worse than 4 (divergence)",
    )


def test_patience_none_waits_for_ever(trainer, losses):
    assert stops(trainer, losses(*range(1, 40)), patience=None) is None


def test_patience_in_steps(trainer, losses):
    rows = losses(1.0, 2.0, 3.0, 4.0)  # an epoch has 10 steps
    assert stops(trainer, rows, patience=15, unit="steps") == (
        2,
        "val/loss has not got better for 20 steps (best 1 in epoch 1, now 3)",
    )
    assert stops(trainer, rows, patience=30, unit="steps")[0] == 3


def test_epochs_before_the_first_to_look_at_do_not_count(trainer, losses):
    assert stops(trainer, losses(0.1, math.nan, 1.0, 0.9, 0.9), patience=2, start_from_epoch=2) is None
    assert stops(trainer, losses(0.1, math.nan, 1.0, 1.1, 1.1), patience=2, start_from_epoch=2)[0] == 4


def test_no_vote_before_min_epochs(trainer, losses):
    rows = losses(1, 2, 3, 4, 5)
    assert stops(trainer, rows, patience=1, min_epochs=4) == (
        3,
        "val/loss has not got better for 3 epochs (best 1 in epoch 1, now 4)",
    )


def test_a_missing_metric_is_passed_over_where_that_is_allowed(trainer, losses):
    rows = [*losses(1.0), {"train/loss": 0.5}, *losses(2.0), {"train/loss": 0.5}]
    trainer.metric_names = ["train/loss"]
    with pytest.warns(UserWarning, match="will not produce"):
        assert stops(trainer, rows, patience=2, strict=False)[0] == 2


def test_fitness_is_followed_where_no_metric_is_named(trainer, losses):
    assert stops(trainer, losses(1.0, 2.0), monitor=None, patience=1) == (
        1,
        "fitness has not got better for 1 epoch (best -1 in epoch 1, now -2)",
    )


def test_several_at_once(trainer, losses):
    slow, fast = EarlyStopping(patience=3), EarlyStopping(target=0.4)
    trainer.run(losses(1.0, 1.0, 0.4), slow, fast)
    assert (slow.stopped_epoch, fast.stopped_epoch) == (None, 2)


def trainer_at(trainer, row):
    """The fake trainer at the end of an epoch with these metrics."""
    trainer.metrics = row
    return trainer


def weight(trainer) -> float:
    return trainer.model.weight[0, 0].item()


def test_restore_best_puts_back_weights_and_buffers_after_a_stop(trainer, losses):
    trainer.run(losses(1.0, 0.5, 0.6, 0.7), EarlyStopping(patience=2, restore_best=True))
    assert weight(trainer) == 2


def test_restore_best_after_the_last_epoch(trainer, losses):
    trainer.run(losses(1.0, 0.5, 0.6), EarlyStopping(patience=9, restore_best=True))
    assert weight(trainer) == 2


def test_without_restore_best_the_last_weights_stay(trainer, losses):
    trainer.run(losses(1.0, 0.5, 0.6), EarlyStopping(patience=9))
    assert weight(trainer) == 3


def test_restore_best_after_an_exception_comes_last(trainer, losses):
    stopper = EarlyStopping(patience=9, restore_best=True)
    trainer.run(losses(0.5), stopper)
    stopper.on_train_start(trainer)
    trainer._epoch(0, losses(0.4)[0])
    torch.nn.init.constant_(trainer.model.weight, 7.0)
    for event in ("on_interrupt", "on_exception"):
        getattr(stopper, event)(trainer)
        assert weight(trainer) == 7  # who saves the state of the interruption finds it as it was
    stopper.teardown(trainer)
    assert weight(trainer) == 1


def test_the_best_is_the_best_however_small_the_gain(trainer, losses):
    trainer.run(losses(1.0, 0.99, 1.5), EarlyStopping(patience=9, min_delta=0.5, restore_best=True))
    assert weight(trainer) == 2


def test_restoring_keeps_the_parameters_the_same_objects_and_batch_norm_its_buffers(trainer, losses):
    trainer.model = torch.nn.BatchNorm1d(2)
    before = trainer.model.running_mean
    stopper = EarlyStopping(patience=9, restore_best=True)
    stopper.on_train_start(trainer)
    stopper.on_fit_epoch_end(trainer_at(trainer, losses(0.5)[0]))
    trainer.model.running_mean.fill_(9)
    stopper.on_train_end(trainer)
    assert trainer.model.running_mean is before
    assert before.tolist() == [0, 0]


def test_used_twice_it_starts_afresh(trainer, losses):
    stopper = EarlyStopping(patience=2)
    trainer.run(losses(0.1, 0.2, 0.3), stopper)
    trainer.run(losses(1.0, 0.9, 0.8), stopper)
    assert not trainer.stop
    assert stopper.best == 0.8


def test_a_resumed_run_goes_on_counting(trainer, losses):
    first = EarlyStopping(patience=2, restore_best=True)
    trainer.run(losses(0.5, 0.6), first)
    second = EarlyStopping(patience=2, restore_best=True)
    second.load_state_dict(first.state_dict())
    trainer.run(losses(0.7, 0.4), second, first=2)
    assert trainer.epoch == 2
    assert weight(trainer) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        *(({"patience": value}, ValueError) for value in (0, -1, 2.5)),
        *(({"patience": value}, TypeError) for value in (True, "3")),
        *(({"min_delta": value}, ValueError) for value in (-1, math.nan)),
        *(
            ({name: value}, ValueError)
            for name in ("target", "baseline", "divergence")
            for value in (math.inf, math.nan)
        ),
        ({"target": "1"}, TypeError),
        ({"unit": "batches"}, ValueError),
        ({"restore_best": "yes"}, TypeError),
        ({"strict": None}, TypeError),
        ({"min_epochs": -1}, ValueError),
        ({"start_from_epoch": 1.5}, ValueError),
        ({"patience": None, "check_finite": False}, ValueError),
    ],
)
def test_wrong_options_are_refused(options, error):
    with pytest.raises(error, match="EarlyStopping got " + next(iter(options))):
        EarlyStopping(**options)
