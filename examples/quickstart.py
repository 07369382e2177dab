"""The ten-line use: scikit-learn's digits, a network, early stopping, checkpoints."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import pyhooks
from pyhooks.callbacks import Checkpoint, EarlyStopping


def on_train_epoch_end(trainer: pyhooks.Trainer) -> None:
    """Python, at the epoch boundary: the batches themselves run without it."""
    print(f"Epoch {trainer.epoch + 1} complete. Current fitness: {trainer.fitness}")


pixels, labels = load_digits(return_X_y=True)
x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

trainer = pyhooks.Trainer(
    net,
    loss=F.cross_entropy,
    optimizer=torch.optim.AdamW(net.parameters(), lr=3e-3),
    metrics={"accuracy": pyhooks.metrics.accuracy},
    callbacks=[EarlyStopping("val/loss", patience=3), Checkpoint("runs/quickstart")],
    seed=0,
)
trainer.add_callback("on_train_epoch_end", on_train_epoch_end)
trainer.add_callback(pyhooks.native.NaNGuard())  # C++, on every batch
result = trainer.fit((x[:1500], y[:1500]), val=(x[1500:], y[1500:]), epochs=10, batch_size=64)
print(result)
