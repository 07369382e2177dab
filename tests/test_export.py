"""Exporting a step: what is written, what is left as it was, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpoint_activations
from torch.utils.data import DataLoader, TensorDataset
from trainer_helpers import arrays, net, points, trainer_of

import pyhooks
from pyhooks import checkpoint, export
from pyhooks.capture.program import Op, Reg
from pyhooks.errors import ExportError


def dropout_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3))


def exported(trainer: pyhooks.Trainer, folder: Path, *data: Any, **options: Any) -> tuple[dict[str, Tensor], Any]:
    trainer.export_step(folder / "step.safetensors", *(data or (points(),)), **{"batch_size": 8, **options})
    return checkpoint.load(folder / "step.safetensors")


def kinds(meta: Any) -> list[tuple[str, list[int]]]:
    return [(plan["mode"], plan["batch"][0]["shape"]) for plan in meta["plans"]]


def test_it_holds_a_plan_for_each_kind_of_batch(tmp_path: Path) -> None:
    _, meta = exported(trainer_of(), tmp_path, points(20), points(9))
    assert kinds(meta) == [("train", [8, 4]), ("train", [4, 4]), ("eval", [8, 4]), ("eval", [1, 4])]
    _, meta = exported(trainer_of(), tmp_path, arrays(20), drop_last=True)
    assert kinds(meta) == [("train", [8, 4])]


def test_it_holds_everything_by_name(tmp_path: Path) -> None:
    model = dropout_net()
    trainer = trainer_of(model, metrics={"accuracy": pyhooks.metrics.accuracy}, clip_norm=0.5, fitness="train/accuracy")
    tensors, meta = exported(trainer, tmp_path)
    assert list(meta["parameters"]) == [name for name, _ in model.named_parameters()]
    assert list(meta["buffers"]) == [name for name, _ in model.named_buffers()]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensors[meta["state"][f"model.{name}"]], tensor)
    assert (meta["metrics"], meta["clip_norm"], meta["fitness"]) == (["accuracy"], 0.5, "train/accuracy")
    assert meta["optimizer"]["name"] == "sgd"
    assert meta["optimizer"]["groups"][0]["options"]["lr"] == 0.1


def test_a_trained_optimizer_keeps_its_state(tmp_path: Path) -> None:
    trainer = trainer_of(make_optimizer=torch.optim.Adam)
    trainer.fit(points(), epochs=1, batch_size=8)
    tensors, _ = exported(trainer, tmp_path)
    state = trainer.optimizer.state_dict()["state"][1]
    assert torch.equal(tensors["optimizer.1.exp_avg"], state["exp_avg"])
    assert tensors["optimizer.1.step"] == state["step"] == 3


def test_the_trainer_is_as_before(tmp_path: Path) -> None:
    model = dropout_net()
    trainer = trainer_of(model)
    model.eval()
    before, rng = {name: tensor.clone() for name, tensor in model.state_dict().items()}, torch.get_rng_state()
    exported(trainer, tmp_path, points(20), points(9))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), rng)
    assert not any(part.training for part in model.modules())
    assert trainer.fit(points(), epochs=1, batch_size=8).epochs_run == 1
    exported(trainer, tmp_path)  # after a fit too


def test_strides_are_kept(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)).to(memory_format=torch.channels_last)
    _, meta = exported(trainer_of(model), tmp_path, (torch.zeros(16, 1, 4, 4), torch.zeros(16, dtype=torch.long)))
    assert meta["strides"] == {"parameter.0.weight": list(model[0].weight.stride())}


def test_tied_weights_are_written_once(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x))

    tensors, meta = exported(trainer_of(Tied()), tmp_path)
    assert meta["state"]["model.first.weight"] == meta["state"]["model.second.weight"] == "parameter.first.weight"
    assert len([name for name in tensors if name.startswith("parameter.")]) == 3


def test_constants_and_losses_with_parameters(tmp_path: Path) -> None:
    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, out: Tensor, target: Tensor) -> Tensor:
            return self.scale * F.cross_entropy(out, target, weight=torch.tensor([1.0, 2.0, 3.0]))

    model, loss = net(), Loss()
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.1)
    tensors, meta = exported(pyhooks.Trainer(model, loss, optimizer, progress=False), tmp_path)
    assert meta["state"]["loss.scale"] == "parameter.loss.scale"
    constants = [tensors[name] for plan in meta["plans"] for _, name in plan["program"]["constants"]]
    assert any(torch.equal(tensor, torch.tensor([1.0, 2.0, 3.0])) for tensor in constants)


class Biased(nn.Module):
    """Computes with a tensor that is given to it."""

    def __init__(self, bias: Tensor, extra: Any = None) -> None:
        super().__init__()
        self.fc, self._extra = nn.Linear(4, 3), extra
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) + self.bias

    def get_extra_state(self) -> Any:
        return self._extra

    def set_extra_state(self, state: Any) -> None:
        self._extra = state


class Plain(Biased):
    get_extra_state = nn.Module.get_extra_state
    set_extra_state = nn.Module.set_extra_state


class Range(pyhooks.metrics.Metric):
    size = 2

    def stats(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.stack([outputs.sum(), outputs.sum()])

    def compute(self, total: Any) -> float:
        return float(total[0] - total[1])


def scheduled() -> pyhooks.Trainer:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    return pyhooks.Trainer(model, F.cross_entropy, optimizer, scheduler=scheduler, progress=False)


def sharing() -> nn.Module:
    model = Plain(torch.zeros(6)[:3])
    model.register_buffer("other", model.bias[:])
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: trainer_of(engine="python"), r'engine="python": its steps call Python'),
        (lambda: trainer_of(make_optimizer=torch.optim.RMSprop), "RMSprop is stepped in Python; .*AdamW"),
        (scheduled, r"StepLR is Python; .*set_lr"),
        (lambda: trainer_of(metrics={"range": Range()}), r"metric 'range' \(Range\) is computed in Python"),
        (lambda: trainer_of(Biased(torch.zeros(3), {"a": 1})), "the model's _extra_state is kept by get_extra_state"),
        (lambda: trainer_of(Plain(torch.zeros(1).expand(3))), r"constant.bias has gaps or overlaps .*contiguous"),
        (lambda: trainer_of(sharing()), r"constant.other and constant.bias share memory"),
    ],
)
def test_what_needs_python_is_refused(make: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=said):
        exported(make(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_step_that_cannot_be_captured(tmp_path: Path) -> None:
    def branching(out: Tensor, target: Tensor) -> Tensor:
        return out.sum() if out.sum() > 0 else -out.sum()

    with pytest.raises(pyhooks.CaptureError, match=r"out\.sum\(\) > 0"):
        exported(trainer_of(loss=branching), tmp_path)


def test_a_plan_that_is_wrong_is_not_written(tmp_path: Path) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.noise = nn.Linear(4, 3), torch.Generator().manual_seed(0)
            self.calls = [0.0]

        def forward(self, x: Tensor) -> Tensor:
            self.calls.append(self.calls[-1] + 1)
            return self.fc(x) * len(self.calls)

    with pytest.raises(pyhooks.CaptureError):
        exported(trainer_of(Counting()), tmp_path)


def test_operators_of_this_process_are_refused() -> None:
    op = Op("pyhooks::tap", "", [Reg(0), 7], {}, [1])
    with pytest.raises(ExportError, match="pyhooks::tap, which is of this process"):
        export._op_to_json(op)


def test_activation_checkpointing(tmp_path: Path) -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            hidden = checkpoint_activations(lambda x: F.dropout(self.first(x), 0.5), x, use_reentrant=False)
            return self.second(hidden)

    _, meta = exported(trainer_of(Checkpointed()), tmp_path)
    assert "pyhooks::set_rng" in {op["name"] for op in meta["plans"][0]["program"]["ops"]}


def test_data_whose_batches_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="train is a DataLoader, whose batches are not known beforehand"):
        exported(trainer_of(), tmp_path, DataLoader(TensorDataset(*points()), batch_size=8))


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        exported(trainer_of(), tmp_path, batch_size=0)
    trainer = trainer_of()
    trainer.add_callback("on_train_start", lambda t: exported(t, tmp_path))
    with pytest.raises(RuntimeError, match="training already"):
        trainer.fit(points(), epochs=1, batch_size=8)
