import inspect
import math
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from torch.optim.swa_utils import SWALR

from pyhooks.schedule import FIELDS, Schedule

EPOCHS, STEPS = 3, 7


class Gamma:
    """A callable with a state, which LambdaLR accepts."""

    def __init__(self):
        self.calls = 0

    def __call__(self, step):
        self.calls += 1
        return 0.9**self.calls


MAKERS = {
    "LambdaLR": lambda o: LambdaLR(o, [lambda s: 0.95**s, lambda s: 1 / (s + 1)]),
    "LambdaLR with a state": lambda o: LambdaLR(o, Gamma()),
    "MultiplicativeLR": lambda o: MultiplicativeLR(o, lambda s: 0.9),
    "StepLR": lambda o: StepLR(o, 4, gamma=0.3),
    "MultiStepLR": lambda o: MultiStepLR(o, [3, 3, 8], gamma=0.3),
    "ConstantLR": lambda o: ConstantLR(o, factor=0.25, total_iters=5),
    "LinearLR": lambda o: LinearLR(o, start_factor=0.1, total_iters=9),
    "ExponentialLR": lambda o: ExponentialLR(o, 0.93),
    "PolynomialLR": lambda o: PolynomialLR(o, total_iters=15, power=2),
    "CosineAnnealingLR": lambda o: CosineAnnealingLR(o, T_max=6, eta_min=1e-3),
    "CosineAnnealingWarmRestarts": lambda o: CosineAnnealingWarmRestarts(o, T_0=4, T_mult=2),
    "CyclicLR": lambda o: CyclicLR(o, 0.01, 0.1, step_size_up=3, mode="triangular2"),
    "CyclicLR exp_range": lambda o: CyclicLR(o, 0.01, 0.1, step_size_up=3, mode="exp_range", gamma=0.99),
    "CyclicLR scale_fn": lambda o: CyclicLR(o, 0.01, 0.1, step_size_up=3, scale_fn=lambda x: 1 / x),
    "OneCycleLR": lambda o: OneCycleLR(o, [0.1, 0.2], total_steps=EPOCHS * STEPS),
    "OneCycleLR three_phase": lambda o: OneCycleLR(o, 0.1, total_steps=EPOCHS * STEPS, three_phase=True),
    "SequentialLR": lambda o: SequentialLR(o, [LinearLR(o, 0.1, total_iters=5), CosineAnnealingLR(o, 9)], [5]),
    "ChainedScheduler": lambda o: ChainedScheduler([ConstantLR(o, 0.1, 4), ExponentialLR(o, 0.9)]),
    "nested": lambda o: ChainedScheduler(
        [SequentialLR(o, [LinearLR(o, 0.1, total_iters=5), StepLR(o, 3)], [5]), ExponentialLR(o, 0.9)]
    ),
    "SWALR": lambda o: SWALR(o, swa_lr=0.01, anneal_epochs=10),
    "ReduceLROnPlateau": lambda o: ReduceLROnPlateau(o, factor=0.5, patience=0),
}
OPTIMIZERS = {
    "SGD": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "Adam": lambda groups: torch.optim.Adam(groups, lr=0.1, betas=(0.9, 0.99)),
    "AdamW with a tensor lr": lambda groups: torch.optim.AdamW(groups, lr=torch.tensor(0.1), fused=True),
}


def make(scheduler, optimizer="SGD"):
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(2))]},
        {"params": [torch.nn.Parameter(torch.zeros(3))], "lr": 0.05},
    ]
    if "tensor" in optimizer:
        groups[1]["lr"] = torch.tensor(0.05)
    made = OPTIMIZERS[optimizer](groups)
    return made, MAKERS[scheduler](made)


def now(optimizer):
    """The values a plain loop's optimizer would use at this step."""
    rows = []
    for group in optimizer.param_groups:
        betas = group.get("betas", (math.nan, math.nan))
        momentum, decay = group.get("momentum", math.nan), group.get("weight_decay", math.nan)
        rows.append([float(group["lr"]), momentum, *betas, decay])
    return np.array(rows)


def by_hand(scheduler, optimizer, steps):
    """Really step optimizer and scheduler ``steps`` times, as a plain loop does."""
    rows = []
    for _ in range(steps):
        rows.append(now(optimizer))
        optimizer.step()
        scheduler.step()
    return np.stack(rows)


PER_BATCH = [name for name in MAKERS if name != "ReduceLROnPlateau"]


def test_every_class_of_torch_is_tried():
    classes = {
        name
        for name, value in vars(torch_schedulers).items()
        if inspect.isclass(value) and issubclass(value, LRScheduler) and not name.startswith("_")
    }
    assert classes - {"LRScheduler"} <= {name.split()[0] for name in MAKERS}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", PER_BATCH)
def test_tables_equal_really_stepping(name, optimizer):
    plain_optimizer, plain = make(name, optimizer)
    our_optimizer, ours = make(name, optimizer)
    schedule = Schedule(ours, per="batch")
    for _ in range(EPOCHS):
        before = now(our_optimizer)
        table = schedule.table(STEPS)
        assert table.dtype == np.float64 and table.shape == (STEPS, 2, len(FIELDS))
        np.testing.assert_array_equal(now(our_optimizer), before)
        np.testing.assert_array_equal(table, by_hand(plain, plain_optimizer, STEPS))
        schedule.advance(STEPS)
        np.testing.assert_array_equal(now(our_optimizer), now(plain_optimizer))
        assert ours.get_last_lr() == plain.get_last_lr()


@pytest.mark.parametrize("name", [name for name in PER_BATCH if name != "LambdaLR with a state"])
def test_an_interrupted_epoch_leaves_the_schedule_where_it_was(name):
    plain_optimizer, plain = make(name)
    our_optimizer, ours = make(name)
    schedule = Schedule(ours, per="batch")
    schedule.table(STEPS)
    schedule.advance(3)
    by_hand(plain, plain_optimizer, 3)
    np.testing.assert_array_equal(now(our_optimizer), now(plain_optimizer))
    np.testing.assert_array_equal(schedule.table(STEPS), by_hand(plain, plain_optimizer, STEPS))


@pytest.mark.parametrize("name", PER_BATCH)
def test_a_table_changes_nothing(name):
    optimizer, scheduler = make(name)
    schedule = Schedule(scheduler, per="batch")
    parameters = [id(group["params"][0]) for group in optimizer.param_groups]
    first = schedule.table(STEPS)
    np.testing.assert_array_equal(schedule.table(STEPS), first)
    assert [id(group["params"][0]) for group in optimizer.param_groups] == parameters
    assert scheduler.optimizer is optimizer


def test_a_stateful_lambda_is_called_once_a_step():
    _, scheduler = make("LambdaLR with a state")
    schedule = Schedule(scheduler, per="batch")
    schedule.table(STEPS)
    schedule.advance(STEPS)
    assert scheduler.lr_lambdas[0].calls == scheduler.last_epoch * 2 + 2  # two groups, one object


def test_inner_schedulers_stay_the_same_objects():
    _, scheduler = make("nested")
    inner = scheduler._schedulers
    members = list(inner)
    schedule = Schedule(scheduler, per="batch")
    schedule.table(STEPS)
    schedule.advance(STEPS)
    assert all(one is other for one, other in zip(scheduler._schedulers, members, strict=True))


def test_a_learning_rate_tensor_stays_the_same_tensor():
    optimizer, scheduler = make("ExponentialLR", "AdamW with a tensor lr")
    tensor = optimizer.param_groups[0]["lr"]
    schedule = Schedule(scheduler, per="batch")
    schedule.table(STEPS)
    schedule.advance(STEPS)
    assert optimizer.param_groups[0]["lr"] is tensor


def test_a_schedule_someone_moved_in_between_is_stepped_from_there():
    optimizer, scheduler = make("MultiplicativeLR")
    schedule = Schedule(scheduler, per="batch")
    schedule.table(2)
    for group in optimizer.param_groups:
        group["lr"] = 1.0
    schedule.advance(2)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.81)


def test_one_cycle_may_be_walked_to_its_very_end_and_no_further():
    optimizer, scheduler = make("OneCycleLR")
    schedule = Schedule(scheduler, per="batch")
    for _ in range(EPOCHS):
        schedule.table(STEPS)
        schedule.advance(STEPS)
    before = now(optimizer)
    with pytest.raises(ValueError, match="total steps") as caught:
        schedule.table(STEPS)
    assert f"{STEPS} optimizer steps" in "".join(getattr(caught.value, "__notes__", [str(STEPS), " optimizer steps"]))
    np.testing.assert_array_equal(now(optimizer), before)


def test_missing_fields_are_nan():
    _, scheduler = make("ExponentialLR", "Adam")
    row = dict(zip(FIELDS, Schedule(scheduler).table(1)[0, 0], strict=True))
    assert math.isnan(row["momentum"])
    assert (row["lr"], row["beta1"], row["beta2"], row["weight_decay"]) == (0.1, 0.9, 0.99, 0.0)


@pytest.mark.parametrize("name", MAKERS)
def test_per_epoch(name):
    plain_optimizer, plain = make(name)
    our_optimizer, ours = make(name)
    schedule = Schedule(ours)
    for metric in (1.0, 1.0, 1.0, 0.5, 0.6):
        table = schedule.table(STEPS)
        np.testing.assert_array_equal(table, np.repeat(now(plain_optimizer)[None], STEPS, axis=0))
        schedule.advance(STEPS)
        schedule.epoch_end({"train/loss": 9.0, "val/loss": metric})
        plain_optimizer.step()
        plain.step(*([metric] if isinstance(plain, ReduceLROnPlateau) else []))
        np.testing.assert_array_equal(now(our_optimizer), now(plain_optimizer))


def test_per_batch_does_nothing_at_the_epochs_end():
    optimizer, scheduler = make("ExponentialLR")
    Schedule(scheduler, per="batch").epoch_end({})
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_plateau_watches_what_it_is_told_and_says_what_there_is():
    _, scheduler = make("ReduceLROnPlateau")
    schedule = Schedule(scheduler, monitor="val/mae")
    schedule.epoch_end({"val/mae": 0.5, "val/loss": 9.0})
    assert scheduler.best == 0.5
    with pytest.raises(KeyError, match=r"val/mae.*it makes train/loss"):
        schedule.epoch_end({"train/loss": 1.0})


def test_torchs_order_warning_is_not_shown_and_others_are():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, scheduler = make("ExponentialLR")
        schedule = Schedule(scheduler, per="batch")
        schedule.table(STEPS)
        schedule.advance(STEPS)
        _, scheduler = make("StepLR")
        Schedule(scheduler).epoch_end({})

    def speak(step):
        warnings.warn("mine", UserWarning, stacklevel=1)
        return 1.0

    optimizer, _ = make("StepLR")
    with pytest.warns(UserWarning, match="mine"):
        Schedule(LambdaLR(optimizer, speak), per="batch").table(2)


def test_torchs_own_check_is_left_as_it_was():
    _, scheduler = make("StepLR")
    Schedule(scheduler, per="batch").table(3)
    with pytest.warns(UserWarning, match=r"before `optimizer.step"):
        scheduler.step()


def test_wrong_options_are_refused():
    optimizer, plateau = make("ReduceLROnPlateau")
    step = StepLR(optimizer, 1)
    with pytest.raises(ValueError, match='without "batch"'):
        Schedule(plateau, per="batch")
    with pytest.raises(ValueError, match="'step'"):
        Schedule(step, per="step")
    with pytest.raises(ValueError, match="StepLR watches no metric"):
        Schedule(step, monitor="val/loss")
    with pytest.raises(TypeError, match=r"SGD.*lr_scheduler"):
        Schedule(optimizer)
