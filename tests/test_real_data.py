"""The main job on real data, through the public API."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import pyhooks


def test_mnist_mlp_reaches_97_5_percent_in_5_epochs(staged_data: Path) -> None:
    with np.load(staged_data / "mnist" / "mnist.npz", allow_pickle=False) as mnist:
        x, y = mnist["x_train"].reshape(-1, 784).astype("float32") / 255, mnist["y_train"].astype("int64")
        x_test, y_test = mnist["x_test"].reshape(-1, 784).astype("float32") / 255, mnist["y_test"].astype("int64")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.1), nn.Linear(256, 10))
    trainer = pyhooks.Trainer(
        net,
        F.cross_entropy,
        torch.optim.Adam(net.parameters(), lr=2e-3),
        metrics={"accuracy": pyhooks.metrics.accuracy},
        fitness="val/accuracy",
        seed=0,
        progress=False,
    )
    result = trainer.fit((x, y), val=(x_test, y_test), epochs=5, batch_size=128)
    assert trainer.engine == "graph"
    assert result.metrics["val/accuracy"] >= 0.975
    assert trainer.evaluate((x_test, y_test))["accuracy"] == result.metrics["val/accuracy"]


def test_california_housing_regression_explains_most_of_the_variance(staged_data: Path) -> None:
    with np.load(staged_data / "california_housing" / "california_housing.npz", allow_pickle=False) as housing:
        features, price = housing["x"], housing["y"] / 1e5
    features = np.nan_to_num((features - np.nanmean(features, axis=0)) / np.nanstd(features, axis=0)).astype("float32")
    order = np.random.default_rng(0).permutation(len(price))
    x, y = features[order], price[order, None].astype("float32")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    trainer = pyhooks.Trainer(
        net,
        F.mse_loss,
        torch.optim.AdamW(net.parameters(), lr=3e-3),
        metrics={"r2": pyhooks.metrics.r2, "mae": pyhooks.metrics.mae},
        seed=0,
        progress=False,
    )
    result = trainer.fit((x[4000:], y[4000:]), val=(x[:4000], y[:4000]), epochs=15, batch_size=128)
    residual = y[:4000] - trainer.predict(x[:4000]).numpy()
    assert result.metrics["val/r2"] > 0.7
    assert abs(result.metrics["val/r2"] - (1 - residual.var() / y[:4000].var())) < 1e-2
    assert abs(result.metrics["val/mae"] - np.abs(residual).mean()) < 1e-5
