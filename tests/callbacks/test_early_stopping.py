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


def test_nan_counts_as_not_better(trainer, losses):
    trainer.run(losses(math.nan, math.nan, 0.5), EarlyStopping(patience=2))
    assert trainer.stop_reason == "val/loss was never a number in 2 epochs"


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


def test_restore_best_after_ctrl_c_but_not_after_an_exception(trainer, losses):
    stopper = EarlyStopping(patience=9, restore_best=True)
    trainer.run(losses(0.5), stopper)
    torch.nn.init.constant_(trainer.model.weight, 7.0)
    stopper.on_exception(trainer)
    stopper.teardown(trainer)
    assert weight(trainer) == 7
    stopper.on_interrupt(trainer)
    assert weight(trainer) == 1


def test_restoring_keeps_the_parameters_the_same_objects_and_batch_norm_its_buffers(trainer, losses):
    trainer.model = torch.nn.BatchNorm1d(2)
    before = trainer.model.running_mean
    stopper = EarlyStopping(patience=9, restore_best=True)
    trainer.run(losses(0.5), stopper)
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


@pytest.mark.parametrize("patience", [0, -1, 2.5, True, "3"])
def test_wrong_patience_is_refused(patience):
    with pytest.raises(ValueError, match="patience"):
        EarlyStopping(patience=patience)
