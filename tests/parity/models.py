"""Small models of the kinds that people train, and data for them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def features(*shape: int, classes: int = 3) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Rows of normal numbers and a class for each."""

    def make(rows: int) -> tuple[Tensor, Tensor]:
        g = torch.Generator().manual_seed(rows)
        return torch.randn(rows, *shape, generator=g), torch.randint(classes, (rows,), generator=g)

    return make


def tokens(rows: int) -> tuple[Tensor, Tensor]:
    """Sequences of 6 tokens of 11 kinds; the target is the next token."""
    text = torch.randint(11, (rows, 7), generator=torch.Generator().manual_seed(rows))
    return text[:, :-1].contiguous(), text[:, 1:].contiguous()


def line(rows: int) -> tuple[Tensor, Tensor]:
    """Five features and a noisy linear target ``[rows, 1]``."""
    g = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 5, generator=g)
    return x, x @ torch.arange(5.0)[:, None] + 0.1 * torch.randn(rows, 1, generator=g)


def images_to_themselves(rows: int) -> tuple[Tensor, Tensor]:
    x = torch.rand(rows, 12, generator=torch.Generator().manual_seed(rows))
    return x, x


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def dropout_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 3))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout2d(0.2),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(24, 3),
    )


class ResidualBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + self.shortcut(x), inplace=True)


def resnet() -> nn.Module:
    stem = [nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True)]
    blocks = [ResidualBlock(4, 4, 1), ResidualBlock(4, 8, 2)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.lstm = nn.LSTM(8, 8, 2, batch_first=True, dropout=0.2)
        self.head = nn.Linear(8, 11)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(x))[0])


class GptBlock(nn.Module):
    def __init__(self, width: int, heads: int, p: float) -> None:
        super().__init__()
        self.heads, self.p = heads, p
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down, self.drop = nn.Linear(width, 2 * width), nn.Linear(2 * width, width), nn.Dropout(p)

    def attention(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        p = self.p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(b, t, d))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attention(self.ln1(x)))
        return x + self.drop(self.down(F.gelu(self.up(self.ln2(x)))))


class Gpt(nn.Module):
    """Two blocks of width 8. With ``tied`` the head's weight is the embedding's."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(11, 8), nn.Embedding(6, 8)
        self.blocks = nn.Sequential(GptBlock(8, 2, 0.1), GptBlock(8, 2, 0.1))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 11, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device)
        return self.head(self.norm(self.blocks(self.embed(x) + self.place(places))))


class DenoisingAutoencoder(nn.Module):
    """Draws noise in each forward, in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(12, 4), nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        noisy = x + 0.1 * torch.randn_like(x)
        return torch.sigmoid(self.decoder(torch.tanh(self.encoder(noisy) + torch.rand(4))))


class PartlyFrozen(nn.Module):
    """A frozen backbone whose batch norm stays in eval mode, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU()).requires_grad_(False)
        self.backbone.eval()
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


def transposed_mlp() -> nn.Module:
    """A parameter whose memory is laid out by columns: its gradient must be too."""
    net = mlp()
    net[0].weight = nn.Parameter(net[0].weight.detach().t().contiguous().t())
    return net


def normed(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return nn.Sequential(norm(nn.Linear(6, 8)), nn.ReLU(), nn.Dropout(0.2), norm(nn.Linear(8, 3)))


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = dropout_mlp()

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.net(x).float()


class BranchOnValues(nn.Module):
    """Cannot be captured: Python looks at a tensor's values."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.drop = mlp(), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.drop(x)) if x.sum().item() > 0 else self.net(x)


class WithUnused(nn.Module):
    """A parameter that the loss does not depend on: it has no gradient, ever."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = mlp(), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


@dataclasses.dataclass
class Prediction:
    logits: Tensor
    hidden: Tensor | None = None
    name: str = "prediction"


class Wrapped(nn.Module):
    """Returns its logits and hidden layer the way ``wrap`` says."""

    def __init__(self, wrap: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.first, self.drop, self.second = nn.Linear(6, 8), nn.Dropout(0.2), nn.Linear(8, 3)
        self.wrap = wrap

    def forward(self, x: Tensor) -> Any:
        hidden = torch.tanh(self.first(x))
        return self.wrap(self.second(self.drop(hidden)), hidden)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(6, 8), nn.Embedding(5, 8), nn.Linear(8, 3)

    def forward(self, numbers: Tensor, kind: Tensor) -> Tensor:
        return self.head(torch.relu(self.left(numbers) + self.right(kind)))


class TwoTasks(TwoInputs):
    """Returns a dict of two heads' outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.size = nn.Linear(3, 1)

    def forward(self, numbers: Tensor, kind: Tensor) -> dict[str, Tensor]:
        logits = super().forward(numbers, kind)
        return {"logits": logits, "size": self.size(logits).squeeze(1)}


class UncertaintyLoss(nn.Module):
    """A loss with a parameter and a buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        squared = (outputs - targets).square().mean()
        return squared * torch.exp(-self.log_variance) + self.log_variance + math.log(2.0)
