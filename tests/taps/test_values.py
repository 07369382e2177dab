"""What hooks see is what PyTorch's own hooks see, in each training batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from parity import harness
from parity.harness import Case, Parts, trainer_for
from parity.models import features
from taps.tapped import NET, Seen, Twice, all_stats, assert_as_plain, assert_columns, plain_run, tapped_run
from torch import Tensor, nn

import pyhooks
from pyhooks.native import ActivationStats, GradStats


def both_kinds(seen: Seen, *names: str) -> Any:
    def install(parts: Parts) -> None:
        for name in names:
            seen.outputs(parts.model, name)
            seen.grads(parts.model, name)

    return install


def add_both(pattern: str) -> Any:
    def add(trainer: pyhooks.Trainer) -> None:
        trainer.add_hook(pattern, all_stats("output"))
        trainer.add_hook(pattern, all_stats("grad"), on="grad")

    return add


@pytest.mark.parametrize("case", [NET, NET.but(accumulate=2, rows=34)], ids=["each batch", "accumulating"])
def test_outputs_and_their_gradients(case: Case, engine: str) -> None:
    seen = Seen()
    trainer = assert_as_plain(case, engine, add_both("*"), both_kinds(seen, "fc1", "norm", "act", "drop", "fc2"))
    assert_columns(trainer, seen)


def test_gradients_of_parameters_once_an_optimizer_step_and_before_clipping(engine: str) -> None:
    case, seen = NET.but(accumulate=2, rows=34, clip_norm=0.01), Seen()

    def install(parts: Parts) -> None:
        def before_clipping(*args: Any) -> None:
            for name, parameter in parts.model.named_parameters():
                seen.note(f"{name}/param_grad", parameter.grad)

        norms = nn.utils.clip_grad_norm_

        def clip(*args: Any) -> Any:
            before_clipping()
            return norms(*args)

        patch.setattr(nn.utils, "clip_grad_norm_", clip)

    with pytest.MonkeyPatch.context() as patch:
        plain_run(case, install)
    _, trainer = tapped_run(case, engine, lambda t: t.add_hook("*", all_stats("param_grad"), on="param_grad"))
    columns = trainer.history.batch
    rows = [1, 3, 4]  # of 5 batches of an epoch, those that update: the last group is short
    stepping = [epoch * 5 + row for epoch in range(case.epochs) for row in rows]
    assert seen.columns
    for name, values in seen.columns.items():
        assert columns[name][stepping].tolist() == values, name
        assert np.isnan(np.delete(columns[name], stepping)).all()


def test_every_nth_batch_of_a_fit(engine: str) -> None:
    seen = Seen()
    plain_run(NET, lambda parts: seen.outputs(parts.model, "fc1"))
    _, trainer = tapped_run(NET, engine, lambda t: t.add_hook("fc1", ActivationStats("mean"), every=2))
    column = trainer.history.batch["fc1/output/mean"]
    assert np.isnan(column[0::2]).all()
    assert column[1::2].tolist() == [tensor.mean().item() for tensor in seen.tensors["fc1/output"][1::2]]


def test_metrics_of_an_epoch_are_means_over_its_batches(engine: str) -> None:
    _, trainer = tapped_run(NET, engine, lambda t: t.add_hook("fc1", ActivationStats("norm")))
    column = trainer.history.batch["fc1/output/norm"]
    assert trainer.metrics["fc1/output/norm"] == sum(column[-3:]) / 3
    assert "fc1/output/norm" in trainer.metric_names


def test_histograms_are_of_the_last_epoch(engine: str) -> None:
    seen, handles = Seen(), []
    plain_run(NET, lambda parts: seen.outputs(parts.model, "fc1"))
    stats = ActivationStats("histogram", bins=10, range=1.5)
    tapped_run(NET, engine, lambda t: handles.append(t.add_hook("fc1", stats)))
    counts, edges = handles[0].histogram("fc1")
    assert edges.tolist() == np.linspace(-1.5, 1.5, 11).tolist()
    wanted = sum(torch.histc(x.clamp(-1.5, 1.5), 10, -1.5, 1.5) for x in seen.tensors["fc1/output"][-3:])
    assert counts.dtype == np.int64 and counts.tolist() == wanted.tolist()
    with pytest.raises(ValueError, match=r"no histogram of 'fc2'; there are fc1"):
        handles[0].histogram("fc2")


def test_only_training_batches_are_seen(engine: str) -> None:
    handles = []
    _, trainer = tapped_run(NET, engine, lambda t: handles.append(t.add_hook("fc*", ActivationStats("mean"))))
    batches = NET.epochs * 3
    assert handles[0].calls == 2 * batches and len(trainer.history.batch["loss"]) == batches
    trainer.evaluate(NET.train_data())
    trainer.predict(NET.train_data()[0])
    trainer.model(NET.train_data()[0])
    assert handles[0].calls == 2 * batches


def test_a_module_called_twice_has_two_tensors(engine: str) -> None:
    seen, calls = Seen(), [0, 0]

    def install(parts: Parts) -> None:
        def forward_hook(module: Any, args: Any, output: Tensor) -> None:
            if module.training:
                name = ["fc", "fc#2"][calls[0] % 2]
                calls[0] += 1
                seen.note(f"{name}/output", output)
                output.register_hook(lambda grad: seen.note(f"{name}/grad", grad))

        parts.model.fc.register_forward_hook(forward_hook)

    handles = []

    def add(trainer: pyhooks.Trainer) -> None:
        handles.append(trainer.add_hook("fc", all_stats("output")))
        handles.append(trainer.add_hook("fc", all_stats("grad"), on="grad"))

    assert_columns(assert_as_plain(NET.but(model=Twice), engine, add, install), seen)
    assert handles[0].tensors == ["fc", "fc#2"]
    assert handles[1].tensors == ["fc#2", "fc"], "gradients come from the end"


class Parted(nn.Module):
    """A layer that returns nested tensors, one of them of integers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.split = Split()
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        out, (h, _) = self.lstm(x[:, None])
        parts = self.split(out[:, 0])
        return self.head(torch.cat([parts["low"], parts["rest"][0], h[0]], 1))


class Split(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Any]:
        return {"low": x[:, :2], "rest": (x[:, 2:], x.argmax(1)), "n": 2}


def test_each_floating_tensor_of_a_nested_output(engine: str) -> None:
    seen, handles = Seen(), []

    def install(parts: Parts) -> None:
        def lstm(module: Any, args: Any, output: Any) -> None:
            for name, x in {"lstm[0]": output[0], "lstm[1][0]": output[1][0], "lstm[1][1]": output[1][1]}.items():
                watch(name, x)

        def split(module: Any, args: Any, output: Any) -> None:
            watch("split['low']", output["low"])
            watch("split['rest'][0]", output["rest"][0])

        def watch(name: str, x: Tensor) -> None:
            if parts.model.training:
                seen.note(f"{name}/output", x)
                if "[1][1]" not in name:  # no gradient comes back to it
                    x.register_hook(lambda grad: seen.note(f"{name}/grad", grad))

        parts.model.lstm.register_forward_hook(lstm)
        parts.model.split.register_forward_hook(split)

    def add(trainer: pyhooks.Trainer) -> None:
        handles.append(trainer.add_hook("[ls]*", all_stats("output")))
        trainer.add_hook("[ls]*", all_stats("grad"), on="grad")

    assert_columns(assert_as_plain(NET.but(model=Parted), engine, add, install), seen)
    assert handles[0].tensors == ["lstm[0]", "lstm[1][0]", "lstm[1][1]", "split['low']", "split['rest'][0]"]


def frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    model[0].requires_grad_(False)
    return model


def trained(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def test_a_frozen_part_is_seen_but_has_no_gradient(engine: str) -> None:
    case, seen = Case(frozen, features(6), groups=trained), Seen()

    def install(parts: Parts) -> None:
        seen.outputs(parts.model, "0")
        seen.grads(parts.model, "2")

    said = r"GradStats on '\[02\]' has seen no tensor of 0 in a whole epoch.*frozen"
    with pytest.warns(UserWarning, match=said) as all_:
        trainer = assert_as_plain(case, engine, add_both("[02]"), install)
    assert len([one for one in all_ if "GradStats" in str(one.message)]) == 1, "told once"
    assert_columns(trainer, seen)
    assert "0/grad/mean" not in trainer.history.batch


def test_a_layer_in_the_loss(engine: str) -> None:
    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Linear(3, 3)

        def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return nn.functional.cross_entropy(self.scale(outputs), targets)

    case, seen = NET.but(loss=Loss()), Seen()

    def install(parts: Parts) -> None:
        seen.outputs(parts.loss, "scale")

    trainer = assert_as_plain(case, engine, lambda t: t.add_hook("loss.scale", all_stats("output")), install)
    seen.columns = {f"loss.{name}": values for name, values in seen.columns.items()}
    assert_columns(trainer, seen)


def test_the_whole_model(engine: str) -> None:
    parts = harness.build(NET)
    trainer = trainer_for(NET, parts, engine)
    handle = trainer.add_hook("model", GradStats("norm"), on="grad")
    harness.fit(NET, trainer, NET.train_data())
    assert handle.tensors == ["model"]
    assert all(math.isfinite(value) for value in trainer.history.batch["model/grad/norm"])


def test_after_hooks_of_the_user(engine: str) -> None:
    def double(module: Any, args: Any, output: Tensor) -> Tensor:
        return output * 2

    seen = Seen()

    def install(parts: Parts) -> None:
        parts.model.fc1.register_forward_hook(double)
        seen.outputs(parts.model, "fc1")

    def add(trainer: pyhooks.Trainer) -> None:
        trainer.add_hook("fc1", all_stats("output"))
        trainer.model.fc1.register_forward_hook(double)

    assert_columns(assert_as_plain(NET, engine, add, install), seen)
