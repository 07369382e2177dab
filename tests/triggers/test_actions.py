"""What triggers do, against a plain loop that does the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.optim import lr_scheduler
from trainer_helpers import net, trainer_of
from triggers.plain import SIZE, Batch, Ema, Optimizer, Plain, assert_same_training, data, sgd

import pyhooks
from pyhooks import checkpoint, when


def fit(*callbacks: Any, epochs: int = 3, **options: Any) -> pyhooks.Trainer:
    trainer = trainer_of(callbacks=callbacks, make_optimizer=sgd, **options)
    trainer.fit(data(), epochs=epochs, batch_size=SIZE)
    return trainer


def spikes(factor: float, n: int) -> Any:
    """A plain loop's judge: the loss is above ``factor`` times the average of those before it."""
    average = Ema(n)

    def judge(batch: Batch, _: Optimizer) -> bool:
        spike = batch.loss > factor * average.value
        average.push(batch.loss)
        return spike

    return judge


@pytest.fixture(params=["graph", "python"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_skip_step_equals_a_loop_that_skips_the_same_batches(engine: str) -> None:
    plain = Plain(spikes(1.5, 10)).fit(3)
    trainer = fit(when("loss > 1.5 * ema(loss, 10)", do=["skip_step", "log(spike)"]), engine=engine)
    assert 2 <= len(plain.dropped) < 15
    assert trainer.history.batch["spike"].nonzero()[0].tolist() == plain.dropped
    assert trainer.history.batch["loss"].tolist() == [batch.loss for batch in plain.seen]
    assert trainer.global_step == plain.step
    assert_same_training(trainer.model, trainer.optimizer, plain)


def test_skip_step_in_an_accumulation_group_drops_the_group() -> None:
    plain = Plain(spikes(1.1, 10)).fit(3, accumulate=3)
    trainer = fit(when("loss > 1.1 * ema(loss, 10)", do="skip_step"), accumulate=3)
    assert plain.dropped and plain.step < 12
    assert trainer.global_step == plain.step
    assert_same_training(trainer.model, trainer.optimizer, plain)


def test_grad_norm_is_that_of_the_sum_so_far_before_clipping() -> None:
    plain = Plain(lambda *_: False).fit(1, accumulate=2)
    expression = "not (loss < 0) and grad_norm >= 0 and batch >= 0"
    got: list[pyhooks.Firing] = []
    trainer = fit(when(expression, do=got.extend), epochs=1, accumulate=2)
    assert [firing.values["grad_norm"] for firing in got] == [batch.grad_norm for batch in plain.seen]
    assert [firing.values["loss"] for firing in got] == [batch.loss for batch in plain.seen]
    assert [(firing.epoch, firing.batch, firing.step) for firing in got] == [
        (batch.epoch, batch.batch, batch.step) for batch in plain.seen
    ]
    clipped: list[pyhooks.Firing] = []
    fit(when("grad_norm > 0", do=clipped.extend), epochs=1, accumulate=2, clip_norm=1e-3)
    assert clipped[0].values["grad_norm"] == got[0].values["grad_norm"]
    assert trainer.global_step == 5


def scaling(batch: Batch, optimizer: Optimizer) -> bool:
    if batch.batch in (2, 7):
        optimizer.param_groups[0]["lr"] *= 0.5
    return False


def test_scale_lr_without_a_schedule() -> None:
    plain = Plain(scaling).fit(2)
    trainer = fit(when("batch == 2 or batch == 7", do="scale_lr(0.5)"), epochs=2)
    assert trainer.history.batch["lr"].tolist() == plain.rates == sorted(plain.rates, reverse=True)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05 / 16
    assert_same_training(trainer.model, trainer.optimizer, plain)


def scheduled(trigger: Any, make: Any, per: str, epochs: int) -> pyhooks.Trainer:
    model = net()
    optimizer = sgd(list(model.parameters()))
    options: dict[str, Any] = {"scheduler": (make(optimizer), per), "progress": False, "seed": 0}
    trainer = pyhooks.Trainer(model, F.cross_entropy, optimizer, callbacks=[trigger], **options)
    trainer.fit(data(), epochs=epochs, batch_size=SIZE)
    return trainer


def test_scale_lr_under_a_schedule_that_multiplies() -> None:
    def make(optimizer: Optimizer) -> Any:
        return lr_scheduler.StepLR(optimizer, 1, gamma=0.25)

    plain = Plain(scaling, make).fit(3)
    trainer = scheduled(when("batch == 2 or batch == 7", do="scale_lr(0.5)"), make, "epoch", 3)
    assert trainer.history.batch["lr"].tolist() == plain.rates
    assert_same_training(trainer.model, trainer.optimizer, plain)


def test_scale_lr_under_a_schedule_per_batch_scales_the_rest_of_it() -> None:
    def make(optimizer: Optimizer) -> Any:
        return lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))

    trainer = scheduled(when("epoch == 0 and batch == 4", do="scale_lr(0.5)"), make, "batch", 2)
    whole = [0.05 * (1 / (1 + step)) for step in range(20)]
    assert trainer.history.batch["lr"].tolist() == [*whole[:4], *(rate * 0.5 for rate in whole[4:])]


def test_stop_says_the_expression_and_the_values() -> None:
    trainer = fit(when("loss > 0 and step >= 13", do="stop"))
    loss = trainer.history.batch["loss"][-1]
    assert (
        trainer.stop_reason
        == f"when('loss > 0 and step >= 13', do='stop'): loss={loss:.6g}, step=13 [epoch 1, batch 3]"
    )
    assert len(trainer.history.batch["loss"]) == 14 and trainer.global_step == 14


def test_save_leaves_a_checkpoint_that_loads() -> None:
    trainer = fit(when("epoch == 1 and batch > 4", do="save"))
    files = list((trainer.run_dir() / "weights").iterdir())
    assert [path.name for path in files] == ["epoch2_step20.safetensors"]
    _, meta = checkpoint.load(files[0])
    assert meta["asked_for"] == ["when('epoch == 1 and batch > 4', do='save'): epoch=1, batch=5"]
    resumed = trainer_of(callbacks=[when("epoch == 1 and batch > 4", do="save")], make_optimizer=sgd)
    resumed.load_checkpoint(files[0])
    resumed.fit(data(), epochs=3, batch_size=SIZE)
    assert torch.equal(resumed.model.weight, trainer.model.weight)


def test_snapshot_is_of_before_the_step() -> None:
    plain = Plain(lambda *_: False)
    plain.fit(1)
    trainer = fit(when("epoch == 1 and batch == 0", do="snapshot"))
    (snapshot,) = trainer.snapshots
    assert snapshot["who"] == "when('epoch == 1 and batch == 0', do='snapshot')"
    assert (snapshot["reason"], snapshot["epoch"], snapshot["batch"]) == ("epoch=1, batch=0", 1, 0)
    for mine, theirs in zip(snapshot["params"], plain.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_log_makes_a_column_and_a_metric() -> None:
    trainer = fit(when("batch < 4", do="log"), when("batch % 2 == 0", do="log('even/batches')"), epochs=2)
    assert trainer.history.batch["batch < 4"].tolist() == ([1.0] * 4 + [0.0] * 6) * 2
    assert trainer.metrics["batch < 4"] == 0.4
    assert trainer.metrics["even/batches"] == 0.5


def test_one_that_never_holds_changes_nothing() -> None:
    trainer = fit(when("loss > 1e9 or grad_norm < 0 or isnan(std(loss, 5)) and step > 5", do=["skip_step", "stop"]))
    assert_same_training(trainer.model, trainer.optimizer, Plain(lambda *_: False).fit(3))


def test_one_recipe_serves_several_trainers() -> None:
    recipe = when("every(4) and loss > 0", do="log(held)")
    columns = [fit(recipe, epochs=1).history.batch["held"].tolist() for _ in range(2)]
    assert columns[0] == columns[1] == [0, 0, 0, 1, 0, 0, 0, 1, 0, 0]


def test_filters_hold_for_what_it_does() -> None:
    trainer = trainer_of(make_optimizer=sgd)
    trainer.add_callback(when("loss > 0", do="log(third)"), every=3)
    trainer.add_callback(when("batch > 1", do="log(first)"), once=True)
    trainer.add_callback(
        when("isfinite(mean(batch, 99)) and mean(batch, 99) != (batch - 1) / 2", do="log(missed)"), every=3
    )
    trainer.fit(data(), epochs=1, batch_size=SIZE)
    columns = trainer.history.batch
    assert columns["third"].tolist() == [0, 0, 1, 0, 0, 1, 0, 0, 1, 0]
    assert columns["first"][:3].tolist() == [0, 0, 1] and (columns["first"][3:] != columns["first"][3:]).all()
    assert not columns["missed"].any()


def test_explain_shows_it_where_it_is_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = trainer_of(callbacks=[when("loss > 3", do=["stop", "log(x)"])])
    trainer.add_callback(when("loss_ema > 3", do="save"), seconds=60)
    trainer.add_callback(pyhooks.native.LossMeter())
    text = trainer.explain()
    capsys.readouterr()
    assert "on_backward_end (batch)\n  observe  when('loss > 3', do=['stop', 'log(x)']) (native)\n" in text
    last = text[text.index("on_train_batch_end") :]
    assert last.splitlines()[1:3] == [
        "  observe  LossMeter (native)",
        "  observe  when('loss_ema > 3', do='save') (native, seconds=60)",
    ]


def test_at_one_event() -> None:
    trainer = trainer_of()
    trainer.add_callback("on_backward_end", when("loss > 3", do="stop"))
    trainer.add_callback("on_train_batch_end", when("loss > 3", do="stop", at="on_train_batch_end"))
    with pytest.raises(ValueError, match=r"is evaluated at 'on_backward_end', not at 'on_train_batch_end'.*at="):
        trainer.add_callback("on_train_batch_end", when("loss > 3", do="stop"))
