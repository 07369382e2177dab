"""What the benchmarks train."""

from __future__ import annotations

import torch.nn.functional as F

from benchmarks import models
from benchmarks.loops import Case

MLP = Case("MLP 64-32-10, batch 32", models.mlp, lambda n: models.noise(n, 64), F.cross_entropy, batch=32, steps=1000)
LSTM = Case(
    "LSTM 2x64, batch 8x20", models.Lstm, lambda n: models.noise(n, 20, 16), F.cross_entropy, batch=8, steps=150
)
GPT = Case("GPT 2 layers, d 64, batch 8x16", models.Gpt, models.text, models.next_token_loss, batch=8, steps=150)
CNN = Case("CNN 28x28, batch 64", models.cnn, lambda n: models.noise(n, 1, 28, 28), F.cross_entropy, batch=64, steps=30)
RESNET = Case(
    "ResNet-18 64x64, batch 8", models.resnet18, lambda n: models.noise(n, 3, 64, 64), F.cross_entropy, batch=8, steps=4
)
