"""A Python callback of your own, a native one, filters, and what they cost."""

import torch
from torch import nn
from torch.nn import functional as F

import pyhooks


class WorstBatch(pyhooks.Callback):
    """Finds the hardest batch of each epoch, after the fact: the history holds every batch."""

    logs = ("worst_batch_loss",)

    def on_train_epoch_end(self, trainer: pyhooks.Trainer) -> None:
        """Log the largest loss among the epoch's batches."""
        losses = trainer.history.batch["loss"]
        steps = len(losses) // (trainer.epoch + 1)
        trainer.log("worst_batch_loss", losses[-steps:].max())


torch.manual_seed(0)
x = torch.randn(2048, 16)
y = (x[:, 0] * x[:, 1] > 0).long()
net = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 2))

trainer = pyhooks.Trainer(
    net,
    F.cross_entropy,
    torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9),
    metrics={"accuracy": pyhooks.metrics.accuracy},
    callbacks=[WorstBatch(), pyhooks.native.GradClip(max_norm=1.0), pyhooks.native.LossMeter(decay=0.95)],
    seed=0,
    progress=False,
)


@trainer.on("on_fit_epoch_end", every=5)
def report(trainer: pyhooks.Trainer) -> None:
    """Every fifth epoch only: the filter is evaluated natively."""
    print(f"epoch {trainer.epoch + 1}:", {name: round(value, 4) for name, value in trainer.metrics.items()})


@trainer.on("on_fit_epoch_end", after=10)
def good_enough(trainer: pyhooks.Trainer) -> None:
    """A vote to stop: everybody else is still called."""
    if trainer.metrics["train/accuracy"] > 0.97:
        trainer.request_stop("97 % is enough")


trainer.explain()
result = trainer.fit((x, y), epochs=60, batch_size=64)
print(f"stopped: {result.stop_reason}")
for cost in trainer.callback_stats():
    print(f"{cost['label']:<12} {cost['calls']:>6} calls  {cost['mean_ns']:>10,.0f} ns each")
