"""Stop a run in the middle and go on from its checkpoint: the same bits as a run that never stopped."""

from pathlib import Path
from tempfile import mkdtemp

import torch
from torch import nn
from torch.nn import functional as F

import pyhooks
from pyhooks.callbacks import Checkpoint

torch.manual_seed(0)
x, y = torch.randn(640, 10), torch.randint(0, 3, (640,))


def make(folder: Path) -> pyhooks.Trainer:
    """A network with dropout, and a schedule that moves at every batch."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6 * 20)
    return pyhooks.Trainer(
        net,
        F.cross_entropy,
        optimizer,
        scheduler=(cosine, "batch"),
        callbacks=[Checkpoint(folder)],
        seed=7,
        progress=False,
    )


whole = make(Path(mkdtemp()))
whole.fit((x, y), epochs=6)

folder = Path(mkdtemp())
make(folder).fit((x, y), epochs=3)  # "interrupted" after three epochs
resumed = make(folder)
resumed.load_checkpoint(folder / "last.safetensors")
resumed.fit((x, y), epochs=6)

same = all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))
print("epochs in the history:", len(resumed.history.epochs))
print("bit-identical to the run that never stopped:", same)
