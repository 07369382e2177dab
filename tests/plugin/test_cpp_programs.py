"""examples/cpp: built against the installed package, run without Python, continued in Python, and the other way."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from plugin.installation import ROOT, Installation
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpoint_activations
from trainer_helpers import Recorder

import pyhooks
from pyhooks import checkpoint, native

LAST = "last.safetensors"

pytestmark = [pytest.mark.slow, pytest.mark.integration]


class Programs(NamedTuple):
    """The built examples."""

    folder: Path
    environment: dict[str, str]

    def run(self, name: str, *arguments: Any, code: int = 0) -> str:
        """Run a program with one thread, as the tests' Python has; return what it printed."""
        words = [self.folder / name, *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, env=self.environment, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def programs(installed: Installation, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    folder = tmp_path_factory.mktemp("cpp")
    [config] = installed.config(folder, "--cmakedir")
    options = [f"-Dpyhooks_DIR={config}", f"-DPYHOOKS_TORCH_ROOT={Path(torch.__file__).parent}"]
    installed.command(["cmake", "-S", ROOT / "examples/cpp", "-B", "build", *options], folder)
    installed.command(["cmake", "--build", "build"], folder)
    return Programs(folder / "build", installed.environment)


# --- a torch::nn model ------------------------------------------------------------------------------------------------


class Net(nn.Module):
    """The network of examples/cpp/train.cpp."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(8 * 12 * 12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.drop(F.relu(self.norm(self.conv(x)))).flatten(1))


class Images:
    """330 random images, of which the last 30 are for validation, and their files."""

    def __init__(self, folder: Path) -> None:
        g = torch.Generator().manual_seed(0)
        images = torch.randint(256, (330, 784), generator=g, dtype=torch.uint8)
        labels = torch.randint(10, (330,), generator=g, dtype=torch.uint8)
        self.files = folder / "images.u8", folder / "labels.u8"
        for path, tensor in zip(self.files, (images, labels), strict=True):
            tensor.numpy().tofile(path)
        x, y = images.view(-1, 1, 28, 28).float() / 255, labels.long()
        self.train, self.val = (x[:300], y[:300]), (x[300:], y[300:])


def python_trainer(programs: Programs, seed: int = 0) -> pyhooks.Trainer:
    """What the program makes, in Python, with the same plugin; its seed is 0."""
    torch.manual_seed(seed)
    net, plugin = Net(), pyhooks.load_plugin(programs.folder / "libwarm_up.so")
    return pyhooks.Trainer(
        net,
        F.cross_entropy,
        torch.optim.AdamW(net.parameters(), lr=2e-3),
        metrics={"accuracy": pyhooks.metrics.accuracy},
        callbacks=[native.GradClip(max_norm=5.0), native.NaNGuard(), plugin.WarmUp(steps=7)],
        seed=0,
    )


def fit(trainer: pyhooks.Trainer, data: Images, epochs: int) -> pyhooks.Result:
    return trainer.fit(data.train, data.val, epochs=epochs, batch_size=64)


def assert_same(path: Path, trainer: pyhooks.Trainer) -> None:
    """A file holds the very state of a trainer: weights, buffers, optimizer, random numbers, history, counters."""
    (theirs, their_meta), (ours, our_meta) = checkpoint.load(path), trainer.checkpoint()
    assert theirs.keys() == ours.keys()
    assert [name for name in ours if not torch.equal(theirs[name], ours[name])] == []
    for name in ("epochs_done", "global_step", "best_fitness", "best_epoch", "history"):
        assert their_meta[name] == our_meta[name], name


def test_it_runs_as_it_is(programs: Programs, tmp_path: Path) -> None:
    said = programs.run("train", tmp_path)
    assert re.findall(r"epoch (\d): val/accuracy", said) == ["1", "2", "3"]
    assert re.search(r"^val/accuracy = (1|0\.[89]\d*)$", said, re.MULTILINE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", LAST]


def test_no_python_is_in_it(programs: Programs) -> None:
    for name in ("train", "train_step"):
        listed = subprocess.run(["ldd", programs.folder / name], capture_output=True, text=True, check=True).stdout
        loaded = [line.split()[0] for line in listed.splitlines()]
        assert any("libpyhooks" in library for library in loaded)
        assert [library for library in loaded if "python" in Path(library).name] == []


def test_it_makes_the_bits_of_python(programs: Programs, tmp_path: Path) -> None:
    data = Images(tmp_path)
    programs.run("train", tmp_path, 3, *data.files, programs.folder / "libwarm_up.so")
    trainer = python_trainer(programs)
    fit(trainer, data, 3)
    assert_same(tmp_path / LAST, trainer)


def test_python_goes_on_from_its_checkpoint(programs: Programs, tmp_path: Path) -> None:
    data = Images(tmp_path)
    programs.run("train", tmp_path / "whole", 4, *data.files, programs.folder / "libwarm_up.so")
    programs.run("train", tmp_path / "part", 2, *data.files, programs.folder / "libwarm_up.so")
    trainer, recorder = python_trainer(programs, seed=5), Recorder()
    trainer.add_callback(recorder)  # Python callbacks begin anew
    trainer.load_checkpoint(tmp_path / "part" / LAST)
    assert fit(trainer, data, 4).epochs_run == 2
    assert "on_resume" in recorder.names
    assert_same(tmp_path / "whole" / LAST, trainer)


def test_it_goes_on_from_pythons_checkpoint(programs: Programs, tmp_path: Path) -> None:
    data = Images(tmp_path)
    part, whole = python_trainer(programs), python_trainer(programs)
    fit(part, data, 2)
    checkpoint.save(tmp_path / LAST, *part.checkpoint())
    fit(whole, data, 4)
    programs.run("train", tmp_path, 4, *data.files, programs.folder / "libwarm_up.so")
    assert_same(tmp_path / LAST, whole)


def test_ctrl_c_ends_it_after_the_batch(programs: Programs, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [programs.folder / "train", tmp_path, "100000"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=programs.environment,
    )
    try:
        while not (tmp_path / LAST).exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert re.search(r"interrupted by Ctrl-C \(in epoch \d+", said)
    assert checkpoint.load(tmp_path / LAST)[1]["epochs_done"] >= 1


def test_a_broken_checkpoint_is_named(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(b"no checkpoint")
    assert f"{tmp_path / LAST} is not a whole safetensors file" in programs.run("train", tmp_path, code=1)


# --- a step from Python -----------------------------------------------------------------------------------------------


def classes(rows: int, shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(rows, *shape, generator=g), torch.randint(3, (rows,), generator=g)


class Case(NamedTuple):
    """A model to export, and how it is trained."""

    layers: Any
    shape: tuple[int, ...] = (4,)
    optimizer: Any = torch.optim.Adam
    options: dict[str, Any] = {}  # noqa: RUF012
    channels_last: bool = False

    def trainer(self) -> pyhooks.Trainer:
        torch.manual_seed(1)
        net = nn.Sequential(*self.layers())
        if self.channels_last:
            net.to(memory_format=torch.channels_last)
        optimizer = self.optimizer(net.parameters())
        return pyhooks.Trainer(net, F.cross_entropy, optimizer, seed=5, progress=False, **self.options)


def mlp() -> list[nn.Module]:
    return [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)]


def convolutions() -> list[nn.Module]:
    first = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Dropout2d(0.2), nn.AvgPool2d(2)]
    return [*first, nn.Conv2d(4, 4, 2, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(64, 3)]


class Attention(nn.Module):
    """A small transformer: embedding of places, attention, layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.place, self.norm = nn.Embedding(5, 4), nn.LayerNorm(4)
        self.qkv, self.fc = nn.Linear(4, 12), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.place(torch.arange(5))
        q, k, v = (part.unflatten(-1, (2, 2)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=0.2 if self.training else 0.0)
        return self.fc((x + attended.transpose(1, 2).flatten(2)).mean(1))


def two_groups(parameters: Any) -> torch.optim.Optimizer:
    first, *rest = parameters
    return torch.optim.AdamW([{"params": rest}, {"params": [first], "lr": 0.1, "weight_decay": 0.0}], amsgrad=True)


class Checkpointed(nn.Module):
    """Activation checkpointing: the program reads and rewinds the generator, with operators of pyhooks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint_activations(lambda x: F.dropout(self.first(x), 0.5, self.training), x, use_reentrant=False)
        return self.second(hidden)


CASES = {
    "dropout and batch norm": Case(mlp, options={"metrics": {"accuracy": pyhooks.metrics.accuracy}}),
    "sgd": Case(mlp, optimizer=lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "adagrad": Case(mlp, optimizer=torch.optim.Adagrad),
    "groups, accumulated and clipped": Case(
        mlp, optimizer=two_groups, options={"accumulate": 2, "clip_norm": 0.5, "clip_value": 0.1}
    ),
    "convolutions": Case(convolutions, (2, 8, 8)),
    "channels last": Case(convolutions, (2, 8, 8), channels_last=True),
    "activation checkpointing": Case(lambda: [Checkpointed()]),
    "a transformer": Case(lambda: [Attention()], (5, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_an_exported_step_makes_the_bits_of_python(name: str, programs: Programs, tmp_path: Path) -> None:
    case = CASES[name]
    (x, y), (xv, yv) = train, val = classes(22, case.shape, 0), classes(9, case.shape, 1)
    save_file({"x": x, "y": y, "xv": xv, "yv": yv}, tmp_path / "data")
    case.trainer().export_step(tmp_path / "step", train, val, batch_size=8)
    programs.run("train_step", tmp_path / "step", tmp_path / "data", tmp_path / "checkpoint", 3, 8, 5)
    trainer = case.trainer()
    trainer.fit(train, val, epochs=3, batch_size=8)
    assert_same(tmp_path / "checkpoint", trainer)

    resumed = case.trainer()
    resumed.load_checkpoint(tmp_path / "checkpoint")
    resumed.fit(train, val, epochs=5, batch_size=8)
    whole = case.trainer()
    whole.fit(train, val, epochs=5, batch_size=8)
    checkpoint.save(tmp_path / "resumed", *resumed.checkpoint())
    assert_same(tmp_path / "resumed", whole)


def test_a_step_exported_in_the_middle_goes_on(programs: Programs, tmp_path: Path) -> None:
    """With a trained optimizer, without a seed: the default generator orders the batches."""
    x, y = classes(16, (4,), 0)
    save_file({"x": x, "y": y}, tmp_path / "data")
    trainer = CASES["dropout and batch norm"].trainer()
    trainer.fit((x, y), epochs=2, batch_size=8)
    trainer.export_step(tmp_path / "step", (x, y), batch_size=8)
    programs.run("train_step", tmp_path / "step", tmp_path / "data", tmp_path / "checkpoint", 2, 8, 5)
    trainer.fit((x, y), epochs=2, batch_size=8)
    assert_same(tmp_path / "checkpoint", trainer)


def test_a_batch_without_a_plan_is_named(programs: Programs, tmp_path: Path) -> None:
    x, y = classes(22, (4,), 0)
    save_file({"x": x, "y": y}, tmp_path / "data")
    CASES["sgd"].trainer().export_step(tmp_path / "step", (x, y), batch_size=8)
    files = tmp_path / "step", tmp_path / "data", tmp_path / "checkpoint"
    said = programs.run("train_step", *files, 1, 10, code=1)
    assert "no plan to train on a batch of (float32[10, 4], int64[10])" in said
    assert "it has: (float32[8, 4], int64[8]), (float32[6, 4], int64[6])" in said
    assert "(in epoch 0, batch 0)" in said
