"""Trains in a process of its own and prints the bytes it took, as JSON: what bench_memory.py starts.

python -m benchmarks.memory_program pyhooks|eager     ResNet-18, a few steps
python -m benchmarks.memory_program tiny              a million steps of the smallest model
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import pyhooks
from benchmarks import cases
from benchmarks.loops import Eager, Pyhooks

TINY_ROWS, TINY_EPOCHS = 10_000, 100  # with one row a batch, a million steps


def resident() -> int:
    """Bytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    """The most bytes since the start, or since :func:`forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("/proc/self/status has no VmHWM")


def forget_peak() -> None:
    """Let the peak start again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def resnet(contestant: type[Eager] | type[Pyhooks]) -> dict[str, int]:
    """The peak of steps, and of the whole process, which for pyhooks includes capture and verification."""
    loop = contestant(cases.RESNET)
    loop.epoch()
    whole = peak()
    forget_peak()
    for _ in range(2):
        loop.epoch()
    return {"whole": whole, "steps": peak()}


def tiny() -> dict[str, int]:
    """What the process has grown by from the first epoch's end to the last one's, the history of its steps included."""
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    trainer = pyhooks.Trainer(model, F.mse_loss, optimizer, engine="graph", progress=False)
    sizes: list[int] = []
    trainer.add_callback("on_train_epoch_end", lambda _: sizes.append(resident()))
    data = torch.randn(TINY_ROWS, 4), torch.randn(TINY_ROWS, 1)
    result = trainer.fit(data, epochs=TINY_EPOCHS, batch_size=1)
    assert len(result.history.batch["loss"]) == TINY_ROWS * TINY_EPOCHS
    return {"growth": sizes[-1] - sizes[0]}


def main() -> None:
    """Do what the argument says."""
    torch.set_num_threads(1)
    programs = {"pyhooks": lambda: resnet(Pyhooks), "eager": lambda: resnet(Eager), "tiny": tiny}
    print(json.dumps(programs[sys.argv[1]]()))


if __name__ == "__main__":
    main()
