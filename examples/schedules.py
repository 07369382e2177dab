"""Find a learning rate, then move rate, momentum, weight decay and a weight inside the loss along with the run."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import pyhooks
from pyhooks.schedules import absolute, constant, cosine, linear, warmup

torch.manual_seed(0)
x = torch.randn(2048, 10)
y = (x[:, :5].sum(1) > x[:, 5:].square().sum(1) - 5).long()


class Loss(nn.Module):
    """Cross entropy, and a penalty on confident outputs, weighed by a buffer that the schedule moves."""

    penalty: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("penalty", torch.tensor(0.1))

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets) + self.penalty * outputs.square().mean()


net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
trainer = pyhooks.Trainer(
    net,
    Loss(),
    optimizer,
    metrics={"accuracy": pyhooks.metrics.accuracy},
    scheduler={
        "lr": warmup(0.1) + cosine(to=0.01),  # a tenth of the run up, then down to a hundredth
        "momentum": warmup(epochs=1, start=absolute(0.8)) + constant(),
        "weight_decay": linear(to=10.0),
        "loss.penalty": constant(0.5) + linear(),  # as it is for half the run, then down to 0
    },
    seed=0,
    progress=False,
)

found = trainer.find_lr((x[:1536], y[:1536]), batch_size=64)  # leaves everything as it was
print(found)
assert found.suggestion is not None
for group in optimizer.param_groups:
    group["lr"] = found.suggestion  # what the schedule's factors are of, from here on

trainer.fit((x[:1536], y[:1536]), val=(x[1536:], y[1536:]), epochs=10, batch_size=64)
rates = trainer.history.batch["lr"]
print(f"rate: {rates[0]:.4f} at first, {rates.max():.4f} at most, {rates[-1]:.4f} at last")
print(f"validation accuracy: {trainer.metrics['val/accuracy']:.3f}")
