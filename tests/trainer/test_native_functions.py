"""Functions that numba has compiled, at work in a training: they see and do what a plain loop would."""

from __future__ import annotations

import ctypes
import math
import threading
import traceback
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from trainer_helpers import assert_same, net, points, state_of, trainer_of

import pyhooks
from pyhooks import native_callback

pytest.importorskip("numba")

Batch = tuple[Tensor, Tensor]
EPOCHS, ROWS, SIZE = 2, 24, 8


def batches() -> list[Batch]:
    x, y = points(ROWS)
    return list(zip(x.split(SIZE), y.split(SIZE), strict=True))


def plain(step: Any = None, model: nn.Module | None = None, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """A plain loop. ``step(number, model, loss, optimizer)`` is called before each optimizer step; True skips it."""
    model = net() if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    losses, grads = [], []
    for number, (x, y) in enumerate(batches() * EPOCHS):
        loss = F.cross_entropy(model(x.to(dtype)), y)
        loss.backward()
        losses.append(loss.item())
        grads.append([parameter.grad.clone() for parameter in model.parameters()])
        if not (step is not None and step(number, model, loss.item(), optimizer)):
            optimizer.step()
        optimizer.zero_grad()
    return {"losses": losses, "grads": grads, "model": model}


def trained(*callbacks: Any, **options: Any) -> pyhooks.Trainer:
    """The same with pyhooks."""
    trainer = trainer_of(callbacks=list(callbacks), engine=options.pop("engine", "graph"), **options)
    trainer.fit(points(ROWS), epochs=EPOCHS, batch_size=SIZE, shuffle=False)
    return trainer


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_sees_what_a_plain_loop_sees(engine: str) -> None:
    @native_callback("optimizer_step", state=np.zeros((6, 24)))
    def look(s):
        row = s.state[s.epoch * s.batches + s.batch]
        row[:4] = np.array([s.epoch, s.epochs, s.step, s.batch])
        row[4:8] = np.array([s.batches, s.samples, s.samples_seen, s.loss])
        row[8:20] = s.grad(0)
        row[20:23] = s.grad(1)
        row[23] = s.lr

    trainer, loop = trained(look, engine=engine), plain()
    seen = look.state
    for number in range(6):
        epoch, batch = divmod(number, 3)
        assert seen[number, :7].tolist() == [epoch, 2, number, batch, 3, 8, 8 * (number + 1)]
        assert seen[number, 7] == loop["losses"][number] and seen[number, 23] == 0.1
        weight, bias = loop["grads"][number]
        assert np.array_equal(seen[number, 8:20], weight.ravel()) and np.array_equal(seen[number, 20:23], bias)
    assert same_weights(trainer.model, loop["model"])
    assert "look" in [stats["label"] for stats in trainer.callback_stats()]


def test_changes_gradients_in_place(engine: str) -> None:
    @native_callback("optimizer_step", phase="mutate")
    def halve(s):
        s.grad(0).reshape(3, 4)[1] *= 0.5
        s.grad(1)[:] = 0

    def step(number: int, model: Any, loss: float, optimizer: Any) -> None:
        model.weight.grad[1] *= 0.5
        model.bias.grad.zero_()

    assert same_weights(trained(halve, engine=engine).model, plain(step)["model"])


def test_changes_parameters_in_place() -> None:
    @native_callback("on_params_update", phase="mutate")
    def decay(s):
        for i in range(s.num_params):
            s.param(i)[:] *= np.float32(0.75)

    @torch.no_grad()
    def step(number: int, model: Any, loss: float, optimizer: Any) -> bool:
        optimizer.step()
        for parameter in model.parameters():
            parameter.mul_(0.75)
        return True

    assert same_weights(trained(decay).model, plain(step)["model"])


def test_gradients_of_another_layout_have_the_parameters_order() -> None:
    """What a captured step leaves may be transposed; element k of a gradient belongs to element k of the parameter."""

    @native_callback("optimizer_step", phase="mutate")
    def regularize(s):
        for i in range(s.num_params):
            s.grad(i)[:] += np.float32(0.5) * s.param(i)

    def step(number: int, model: Any, loss: float, optimizer: Any) -> None:
        for parameter in model.parameters():
            parameter.grad += 0.5 * parameter.detach()

    models = []
    for train in (lambda model: trained(regularize, model=model).model, lambda model: plain(step, model)["model"]):
        torch.manual_seed(0)
        models.append(train(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))))
    assert same_weights(*models)


def test_float64() -> None:
    @native_callback("optimizer_step", phase="mutate", dtype="float64")
    def halve(s):
        for i in range(s.num_params):
            s.grad(i)[:] *= 0.5

    def step(number: int, model: Any, loss: float, optimizer: Any) -> None:
        for parameter in model.parameters():
            parameter.grad *= 0.5

    trainer = trainer_of(net().double(), callbacks=[halve])
    x, y = points(ROWS)
    trainer.fit((x.double(), y), epochs=EPOCHS, batch_size=SIZE, shuffle=False)
    assert same_weights(trainer.model, plain(step, net().double(), torch.float64)["model"])


def test_sets_rates_and_skips_steps() -> None:
    @native_callback("on_backward_end", phase="mutate")
    def steer(s):
        if s.batch == 1:
            s.skip_step()
        elif s.loss < 1.36:
            s.set_lr(0.05 * s.loss)
        s.log("will_update", s.will_update)

    def step(number: int, model: Any, loss: float, optimizer: Any) -> bool:
        if number % 3 != 1 and loss < 1.36:
            optimizer.param_groups[0]["lr"] = 0.05 * loss
        return number % 3 == 1

    trainer, loop = trained(steer), plain(step)
    assert same_weights(trainer.model, loop["model"]) and trainer.global_step == 4
    columns = trainer.history.batch
    assert columns["loss"].tolist() == loop["losses"]
    assert columns["will_update"].tolist() == [1, 0, 1] * 2
    assert trainer.optimizer.param_groups[0]["lr"] != 0.1


def test_stops_and_tells_why() -> None:
    @native_callback("on_train_batch_end", phase="vote")
    def target(s):
        if s.step == 2:
            s.request_stop("two steps are enough")
            s.request_stop()

    trainer = trained(target)
    assert trainer.stop_reason == (
        "target: two steps are enough [epoch 0, batch 1]; target: no reason given [epoch 0, batch 1]"
    )
    assert trainer.global_step == 2


def test_logs_columns_and_metrics() -> None:
    @native_callback("on_train_batch_end")
    def twice(s):
        s.log("twice", 2 * s.loss)
        s.log("steps", s.step)
        s.log("again", s.logged("twice") - s.logged("loss"))
        s.log("missing", s.logged("never"))

    @native_callback("on_train_epoch_end")
    def epoch(s):
        s.log("root", math.sqrt(s.metric("train/loss")))
        s.log("outside", s.batch + s.batches + s.samples)
        s.log("no_loss", s.loss)

    trainer = trained(twice, epoch)
    columns = trainer.history.batch
    assert (columns["twice"] == 2 * columns["loss"]).all() and (columns["again"] == columns["loss"]).all()
    assert columns["steps"].tolist() == [1, 2, 3, 4, 5, 6] and np.isnan(columns["missing"]).all()
    last = trainer.metrics
    assert last["root"] == math.sqrt(last["train/loss"]) and last["outside"] == -3 and math.isnan(last["no_loss"])
    assert {"twice", "root"} <= set(trainer.metric_names)


def test_events_of_every_kind() -> None:
    counts = {}
    wanted = {"optimizer_step": 6, "on_val_batch_end": 2, "on_fit_epoch_end": 2, "on_train_start": 1, "teardown": 1}
    for event in wanted:

        @native_callback(event, state=1)
        def count(s):
            s.state[0] += 1

        counts[event] = count
    trainer = trainer_of(callbacks=list(counts.values()))
    trainer.fit(points(ROWS), points(8), epochs=EPOCHS, batch_size=SIZE)
    assert {event: count.state[0] for event, count in counts.items()} == wanted


def test_filters_priorities_and_one_event() -> None:
    @native_callback("on_train_batch_end", state=1)
    def count(s):
        s.state[0] += 1
        s.log("count", s.state[0])

    @native_callback("on_train_batch_end")
    def read(s):
        s.log("read", s.logged("count"))

    trainer = trainer_of()
    trainer.add_callback(read)
    trainer.add_callback("on_train_batch_end", count, every=2, priority=1)
    trainer.fit(points(ROWS), epochs=EPOCHS, batch_size=SIZE)
    column = trainer.history.batch["read"]
    assert column[1::2].tolist() == [1, 2, 3] and np.isnan(column[::2]).all()
    with pytest.raises(ValueError, match=r"NativeFunction\('read'.*does not listen to 'on_train_start'"):
        trainer.add_callback("on_train_start", read)
    with pytest.raises(ValueError, match=r"NativeFunction\('count'.*does not listen to 'on_train_start'"):
        trainer.add_callback("on_train_start", count)


def test_state_is_resumed_to_the_last_bit(tmp_path) -> None:
    def smooth() -> Any:
        @native_callback("optimizer_step", phase="mutate", state=[[0.0, math.inf]])
        def smooth(s):
            s.state[0, 0] = 0.9 * s.state[0, 0] + 0.1 * s.loss
            s.grad(0)[:] *= s.state[0, 0]
            s.state[0, 1] = min(s.state[0, 1], s.loss)

        return smooth

    def trainer(epochs: int, folder: str, resume: bool = False) -> Any:
        callback = smooth()
        made = trainer_of(callbacks=[callback, pyhooks.callbacks.Checkpoint(tmp_path / folder)])
        if resume:
            made.load_checkpoint(tmp_path / "half" / "last.safetensors")
        made.fit(points(ROWS), epochs=epochs, batch_size=SIZE)
        return made, callback.state

    whole, state = trainer(4, "whole")
    trainer(2, "half")
    resumed, state_after = trainer(4, "resumed", resume=True)
    assert_same(state_of(resumed), state_of(whole))
    assert state.shape == (1, 2) and np.array_equal(state, state_after) and state[0, 0] > 0


def test_each_run_and_each_trainer_has_its_own_state() -> None:
    initial = np.array([5.0])

    @native_callback("on_train_batch_end", state=initial)
    def count(s):
        s.state[0] += 1

    assert count.state.tolist() == [5]
    first = trained(count)
    assert count.state.tolist() == [11]
    first.fit(points(ROWS), epochs=1, batch_size=SIZE)
    assert count.state.tolist() == [8] and initial.tolist() == [5]
    trainer_of(callbacks=[count])
    assert count.state.tolist() == [5]


# --- errors -----------------------------------------------------------------------------------------------------------


def error_of(function: Any, **options: Any) -> BaseException:
    with pytest.raises(Exception) as caught:
        trained(function, **options)
    return caught.value


def test_exceptions_come_out_as_they_are_with_the_place() -> None:
    @native_callback("on_backward_end", state=4)
    def outside(s):
        if s.batch == 1:
            s.state[s.step + 3] = 0

    @native_callback("on_train_batch_end")
    def raising(s):
        if s.step == 5:
            raise ValueError("no luck", s.step)

    @native_callback("on_train_epoch_end")
    def dividing(s):
        s.log("x", 1.0 / s.epoch)

    error = error_of(outside)
    assert type(error) is IndexError and "in epoch 0, batch 1, in callback outside at on_backward_end" in note(error)
    error = error_of(raising)
    assert type(error) is ValueError and error.args == ("no luck", 5) and "epoch 1, batch 1" in note(error)
    assert traceback.extract_tb(error.__traceback__)[-1].line == 'raise ValueError("no luck", s.step)'
    assert "callback raising at on_train_batch_end" in note(error)
    error = error_of(dividing)
    assert type(error) is ZeroDivisionError and "in epoch 0, in callback dividing at on_train_epoch_end" in note(error)


def note(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


def test_what_it_asks_for_in_vain() -> None:
    @native_callback("on_params_update")
    def late(s):
        s.skip_step()

    @native_callback("on_backward_end")
    def wrong_group(s):
        s.set_lr(0.1, group=1)

    @native_callback("on_backward_end")
    def wrong_number(s):
        s.log("sum", s.grad(s.num_params).sum())

    @native_callback("on_train_epoch_end")
    def no_batch(s):
        s.log("size", s.grad(0).size)

    @native_callback("optimizer_step", dtype="float64")
    def wrong_dtype(s):
        s.grad(0)[:] = 0

    error = error_of(late)
    assert type(error) is pyhooks.CallbackError and "skip_step() was called at on_params_update" in str(error)
    assert "in callback late" in str(error)
    error = error_of(wrong_group)
    assert type(error) is IndexError and "learning rate of group 1 asked for" in str(error)
    error = error_of(wrong_number)
    assert type(error) is IndexError and "s.grad(i): i is not below s.num_params" in str(error)
    error = error_of(no_batch)
    assert type(error) is pyhooks.CallbackError and "grad is for batch events; on_train_epoch_end is none" in str(error)
    error = error_of(wrong_dtype)
    assert type(error) is TypeError and "parameter i is not float64 on the CPU" in str(error)


def test_errors_that_do_not_end_training() -> None:
    @native_callback("on_train_batch_end", state=1)
    def failing(s):
        s.state[0] += 1
        if s.batch == 0:
            raise RuntimeError("not today")

    trainer = trainer_of()
    trainer.add_callback(failing, on_error="disable")
    with pytest.warns(UserWarning, match=r"failing raised RuntimeError: not today.*it is not called any more"):
        trainer.fit(points(ROWS), epochs=EPOCHS, batch_size=SIZE)
    assert failing.state.tolist() == [1] and trainer.global_step == 6


def test_no_gradient_is_an_empty_one() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(4, 3), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    @native_callback("on_backward_end", state=4)
    def sizes(s):
        for i in range(s.num_params):
            s.state[i] = s.grad(i).size

    trained(sizes, model=Unused())
    assert sizes.state.tolist() == [12, 3, 0, 0]


# --- the GIL ----------------------------------------------------------------------------------------------------------


@native_callback("on_train_batch_end", state=1)
def counting(s):
    s.state[0] += 1
    s.log("loss_too", s.loss)


def test_runs_while_another_thread_holds_the_gil() -> None:
    trainer = trainer_of(callbacks=[counting], verify=0)
    begun, steps = threading.Event(), []

    def hold() -> None:
        begun.wait()
        while trainer.peek().training is not True:
            pass
        before = trainer.peek().global_step
        ctypes.PyDLL(None).usleep(50_000)  # unlike CDLL, keeps the GIL
        steps.append(trainer.peek().global_step - before)

    thread = threading.Thread(target=hold)
    thread.start()
    trainer.add_callback("on_train_epoch_start", lambda _: begun.set())
    trainer.fit(points(100_000), epochs=1, batch_size=2)
    thread.join()
    assert steps[0] > 20 and counting.state.tolist() == [50_000]
