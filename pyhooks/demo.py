"""``python -m pyhooks demo``: handwritten digits, trained natively and, beside it, by a plain PyTorch loop.

Both train the same network from the same seeds for the same epochs, with the same schedule and the same
clipping, so their final weights can be compared bit for bit.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

import pyhooks
from pyhooks import native
from pyhooks.callbacks import Callback, Checkpoint, CSVLogger, EarlyStopping
from pyhooks.callbacks.epoch_table import EpochTable
from pyhooks.callbacks.protocol import TrainerLike
from pyhooks.metrics import accuracy
from pyhooks.plots import results_png

Data = tuple[Tensor, Tensor]
BATCH, PEAK_LR, MAX_NORM = 32, 3e-3, 1.0


@dataclass(frozen=True)
class Digits:
    """scikit-learn's digits, 8x8 pixels between 0 and 1: float32 ``[N, 64]`` and int64 ``[N]`` each."""

    train: Data
    val: Data
    test: Data

    @property
    def steps(self) -> int:
        """Training batches an epoch, the short last one included."""
        return -(-len(self.train[0]) // BATCH)


@dataclass
class Timing:
    """Seconds of each training epoch (without validation), and of the whole run."""

    epochs: list[float] = field(default_factory=list)
    total: float = 0.0

    def steps_a_second(self, steps: int) -> float:
        """Of the median epoch."""
        return steps / statistics.median(self.epochs)


class ShowEpoch(Callback):
    """The demo's own Python callback: prints a row an epoch and notes how long its batches took."""

    def __init__(self, console: Console) -> None:
        self.table = EpochTable(console, ["train/loss", "train/accuracy", "val/loss", "val/accuracy", "lr/pg0"])
        self.timing = Timing()
        self._began = 0.0

    def on_train_epoch_start(self, trainer: TrainerLike) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: TrainerLike) -> None:
        """Stop the clock: validation and saving do not count."""
        self.timing.epochs.append(time.perf_counter() - self._began)

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Print the row."""
        self.table.row(trainer.epoch + 1, trainer.epochs, self.timing.epochs[-1], trainer.metrics)


def main(epochs: int = 40, seed: int = 0, threads: int = 1, save_dir: Path | None = None) -> int:
    """Run the demo.

    Args:
        epochs: epochs at most; early stopping may end it sooner. Default: 40.
        seed: of the weights, the order of the batches and the dropout. Default: 0.
        threads: torch's threads. Default: 1, the fastest for so small a network.
        save_dir: the run's folder. Default: None, runs/train, runs/train2, ...

    Returns:
        0 when both loops end in the same weights, bit for bit, else 1.

    Raises:
        ImportError: scikit-learn or matplotlib is not installed.
    """
    torch.set_num_threads(threads)
    console = Console(width=None if Console().is_terminal else 100)
    digits = load_digits()
    console.print(
        f"digits: {len(digits.train[0])} training, {len(digits.val[0])} validation, {len(digits.test[0])} "
        "test images; "
        f"{digits.steps} steps an epoch\n",
        highlight=False,
    )
    trainer, show = make_trainer(digits, console, epochs=epochs, seed=seed, save_dir=save_dir)
    began = time.perf_counter()
    result = trainer.fit(digits.train, digits.val, epochs=epochs, batch_size=BATCH)
    show.timing.total = time.perf_counter() - began
    plain_model, plain_timing = plain_loop(digits, epochs=result.epochs_run, planned=epochs, seed=seed)
    same = same_bits(trainer.model, plain_model)
    folder = Path(trainer.run_dir())
    results_png(trainer.history.epochs, trainer.history.batch, folder / "results.png")
    logits = trainer.predict(digits.test[0])
    report(
        console,
        digits,
        show.timing,
        plain_timing,
        result.stop_reason,
        float(accuracy(logits, digits.test[1])),
        same,
    )
    list_files(console, folder)
    return 0 if same else 1


def load_digits() -> Digits:
    """The data set that comes with scikit-learn, shuffled once and split 1200 / 297 / 300.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise ImportError("the demo needs scikit-learn: pip install pyhooks-torch[demo]") from error
    pixels, labels = load(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    x = torch.from_numpy(pixels).float().div(16)[order]
    y = torch.from_numpy(labels).long()[order]
    return Digits(train=(x[:1200], y[:1200]), val=(x[1200:1497], y[1200:1497]), test=(x[1497:], y[1497:]))


def make_network(seed: int) -> nn.Sequential:
    """A perceptron, 64-64-32-10 with dropout, its weights drawn from ``seed``."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def make_optimizer(
    model: nn.Module, total_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Fused Adam under a one-cycle schedule, which moves the learning rate and beta1 at every step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_LR, fused=True)
    return optimizer, OneCycleLR(optimizer, max_lr=PEAK_LR, total_steps=total_steps)


def make_trainer(
    digits: Digits, console: Console, *, epochs: int, seed: int, save_dir: Path | None
) -> tuple[pyhooks.Trainer, ShowEpoch]:
    """The pyhooks side: one native callback on every batch, Python ones on every epoch."""
    model = make_network(seed)
    optimizer, scheduler = make_optimizer(model, epochs * digits.steps)
    show = ShowEpoch(console)
    trainer = pyhooks.Trainer(
        model,
        F.cross_entropy,
        optimizer,
        metrics={"accuracy": accuracy},
        scheduler=(scheduler, "batch"),
        callbacks=[
            native.GradClip(max_norm=MAX_NORM),
            native.NaNGuard(),
            EarlyStopping("val/loss", patience=6),
            Checkpoint(),
            CSVLogger(),
            show,
        ],
        seed=seed,
        save_dir=save_dir,
        progress=False,
    )
    return trainer, show


def plain_loop(digits: Digits, *, epochs: int, planned: int, seed: int) -> tuple[nn.Module, Timing]:
    """The loop of every PyTorch tutorial, with the same seeds.

    Args:
        digits: the data.
        epochs: epochs to train.
        planned: epochs the schedule was made for.
        seed: as pyhooks was given it.

    Returns:
        The trained model and how long it took.
    """
    model = make_network(seed)
    optimizer, scheduler = make_optimizer(model, planned * digits.steps)
    order = torch.Generator().manual_seed(seed)
    train = DataLoader(TensorDataset(*digits.train), batch_size=BATCH, shuffle=True, generator=order)
    val = DataLoader(TensorDataset(*digits.val), batch_size=BATCH, generator=torch.Generator())
    timing, run_began = Timing(), time.perf_counter()
    torch.manual_seed(seed)
    for _ in range(epochs):
        began = time.perf_counter()
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            optimizer.step()
            scheduler.step()
        timing.epochs.append(time.perf_counter() - began)
        validate(model, val)
    timing.total = time.perf_counter() - run_began
    return model, timing


def validate(model: nn.Module, loader: DataLoader[tuple[Tensor, ...]]) -> tuple[float, float]:
    """Loss and accuracy over a loader."""
    model.eval()
    loss, hits, rows = 0.0, 0, 0
    with torch.no_grad():
        for x, y in loader:
            logits = model(x)
            loss += float(F.cross_entropy(logits, y, reduction="sum"))
            hits += int((logits.argmax(1) == y).sum())
            rows += len(y)
    return loss / rows, hits / rows


def same_bits(one: nn.Module, other: nn.Module) -> bool:
    """Whether two models hold the same parameters and buffers, to the last bit."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def report(
    console: Console,
    digits: Digits,
    ours: Timing,
    plain: Timing,
    stop_reason: str | None,
    score: float,
    same: bool,
) -> None:
    """Print what came out."""
    fast, slow = ours.steps_a_second(digits.steps), plain.steps_a_second(digits.steps)
    verdict = "bit-identical to the plain loop's" if same else "NOT the plain loop's: please report this as a bug"
    count = torch.get_num_threads()
    threads = f"{count} thread{'s' * (count != 1)}"
    lines = [
        f"stopped         {stop_reason or 'after the last epoch'}",
        f"test accuracy   {score:.2%} of {len(digits.test[0])} images",
        f"pyhooks         {fast:>9,.0f} steps/s   ({ours.total:.2f} s in all, capture, checks and "
        "checkpoints included)",
        f"plain PyTorch   {slow:>9,.0f} steps/s   ({plain.total:.2f} s in all)",
        f"ratio           {fast / slow:>9.1f} x         (medians of {len(ours.epochs)} epochs, {threads})",
        f"final weights   {verdict}",
    ]
    console.print("\n" + "\n".join(lines), highlight=False, markup=False)


def list_files(console: Console, folder: Path) -> None:
    """Print the run's folder."""
    console.print(f"\n{folder}/", highlight=False, markup=False, soft_wrap=True)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            what = f"-> {path.readlink()}" if path.is_symlink() else f"{path.stat().st_size / 1024:>8.1f} kB"
            console.print(f"  {path.relative_to(folder)!s:<28}{what}", highlight=False, markup=False)
