"""Stop when it no longer pays, keep the best weights, and see what other rules would have done."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import pyhooks
from pyhooks.callbacks import EarlyStopping, WhatIfStopping

pixels, labels = load_digits(return_X_y=True)
x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

what_if = WhatIfStopping(
    [
        EarlyStopping("val/loss", patience=2),
        EarlyStopping("val/loss", patience=5, min_delta=0.01, relative=True),
        EarlyStopping("val/accuracy", patience=None, target=0.92),
    ]
)
trainer = pyhooks.Trainer(
    net,
    loss=F.cross_entropy,
    optimizer=torch.optim.AdamW(net.parameters(), lr=3e-3),
    metrics={"accuracy": pyhooks.metrics.accuracy},
    callbacks=[EarlyStopping("val/loss", patience=10, restore_best=True), what_if],
    seed=0,
    progress=False,
)
data, val = (x[:1200], y[:1200]), (x[1200:], y[1200:])
result = trainer.fit(data, val, epochs=200, batch_size=64)

print("stopped:", result.stop_reason)
best = min(epoch["val/loss"] for epoch in result.history.epochs)
print(f"best epoch's loss {best:.4f}, of the weights put back {trainer.evaluate(val)['loss']:.4f}")
