"""A callback of your own in C++, for every batch: compiled when it is first loaded, then taken from a cache."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import pyhooks

hooks = pyhooks.load_plugin(Path(__file__).parent / "plugins" / "noise_scale.cpp")
help(hooks.NoiseScale)

torch.manual_seed(0)
x = torch.randn(2048, 16)
y = (x[:, 0] * x[:, 1] > 0).long()
net = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 2))

trainer = pyhooks.Trainer(net, F.cross_entropy, torch.optim.AdamW(net.parameters(), lr=3e-3), seed=0, progress=False)
trainer.add_callback(hooks.NoiseScale(beta=0.95, every=1))
result = trainer.fit((x, y), epochs=30, batch_size=32)
print(f"noise of the loss: {result.history.epochs[0]['noise_scale']:.2f} in the first epoch, ", end="")
print(f"{result.metrics['noise_scale']:.2f} in the last")
