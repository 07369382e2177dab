"""The cases: each a name, a model, its data and how it is trained. See :class:`parity.harness.Case`."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from parity import models as m
from parity.harness import Case
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW
from torch.optim import lr_scheduler as sched

MLP = Case(m.mlp, m.features(6))
DROPOUT = Case(m.dropout_mlp, m.features(6), val_rows=10)


def hits(outputs: Tensor, targets: Tensor) -> tuple[float, float]:
    return float((outputs.argmax(1) == targets).sum()), float(len(targets))


def token_hits(outputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """As :func:`hits`, of logits ``[N, C, T]``."""
    return float((outputs.argmax(1) == targets).sum()), float(targets.numel())


MODELS = {
    "mlp": MLP.but(val_rows=10, metrics={"accuracy": hits}),
    "cnn": Case(m.cnn, m.features(1, 8, 8), val_rows=10, metrics={"accuracy": hits}),
    "resnet": Case(m.resnet, m.features(3, 8, 8), rows=16, val_rows=8, metrics={"accuracy": hits}),
    "lstm": Case(m.Lstm, m.tokens, m.token_loss, val_rows=8),
    "gpt": Case(m.Gpt, m.tokens, m.token_loss, val_rows=8),
    "noisy_autoencoder": Case(m.DenoisingAutoencoder, m.images_to_themselves, F.mse_loss, val_rows=10),
    "regression": Case(lambda: nn.Linear(5, 1), m.line, F.mse_loss, val_rows=10),
}


def frozen_left_out(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def in_float64(rows: int) -> tuple[Tensor, Tensor]:
    x, y = m.features(6)(rows)
    return x.double(), y


def in_bfloat16(rows: int) -> tuple[Tensor, Tensor]:
    x, y = m.features(6)(rows)
    return x.bfloat16(), y


PARTS = {
    "frozen": Case(m.PartlyFrozen, m.features(6), groups=frozen_left_out, val_rows=10),
    "frozen_in_optimizer": Case(m.PartlyFrozen, m.features(6)),
    "tied": Case(lambda: m.Gpt(tied=True), m.tokens, m.token_loss),
    "unused_parameter": Case(m.WithUnused, m.features(6)),
    "loss_with_parameters": Case(
        lambda: nn.Linear(5, 1), m.line, m.UncertaintyLoss(), val_rows=10, accumulate=2, rows=20
    ),
    "channels_last": MODELS["cnn"].but(model=lambda: m.cnn().to(memory_format=torch.channels_last)),
    "transposed_parameter": MLP.but(model=m.transposed_mlp),
    "weight_norm": DROPOUT.but(model=lambda: m.normed(nn.utils.parametrizations.weight_norm)),
    "spectral_norm": DROPOUT.but(model=lambda: m.normed(nn.utils.parametrizations.spectral_norm)),
    "autocast": DROPOUT.but(model=m.Autocast),
    "bfloat16": DROPOUT.but(model=lambda: m.dropout_mlp().bfloat16(), data=in_bfloat16),
    "float64": Case(lambda: m.dropout_mlp().double(), in_float64),
}


def head_apart(model: nn.Module) -> list[dict[str, Any]]:
    """Three groups: a rate and decay of its own for the first layer; none for biases."""
    weights = [p for p in model.parameters() if p.dim() > 1]
    biases = [p for p in model.parameters() if p.dim() == 1]
    return [
        {"params": weights[:1], "lr": 3e-3, "weight_decay": 0.1},
        {"params": weights[1:]},
        {"params": biases, "lr": 2e-2, "weight_decay": 0.0},
    ]


def uneven_betas(model: nn.Module) -> list[dict[str, Any]]:
    """Groups that differ in options other than the rate."""
    first, *rest = model.parameters()
    return [{"params": rest}, {"params": [first], "betas": (0.8, 0.9), "eps": 1e-3, "amsgrad": True}]


GROUPS = {
    "sgd": MLP.but(groups=head_apart, optimizer=lambda g: SGD(g, lr=0.1, momentum=0.9, fused=True)),
    "adamw": MLP.but(groups=head_apart, optimizer=lambda g: AdamW(g, lr=1e-2, fused=True)),
    "adam_options": MLP.but(groups=uneven_betas),
    "cosine": MLP.but(groups=head_apart, scheduler=lambda o: sched.CosineAnnealingLR(o, 3)),
    "onecycle": MLP.but(
        groups=head_apart, scheduler=lambda o: sched.OneCycleLR(o, [0.1, 0.05, 0.2], total_steps=9), per="batch"
    ),
}

OPTIMIZERS = {
    "sgd": lambda p: SGD(p, lr=0.1, fused=True),
    "sgd_decay": lambda p: SGD(p, lr=0.1, weight_decay=0.05, fused=True),
    "sgd_momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, fused=True),
    "sgd_nesterov": lambda p: SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01, fused=True),
    "sgd_dampening": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.3, fused=True),
    "sgd_maximize": lambda p: SGD(p, lr=0.01, momentum=0.5, maximize=True, fused=True),
    "adam": lambda p: Adam(p, lr=1e-2, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.02, fused=True),
    "adam_amsgrad": lambda p: Adam(p, lr=1e-2, amsgrad=True, fused=True),
    "adam_maximize": lambda p: Adam(p, lr=1e-3, maximize=True, fused=True),
    "adam_decoupled": lambda p: Adam(p, lr=1e-2, weight_decay=0.1, decoupled_weight_decay=True, fused=True),
    "adam_tensor_lr": lambda p: Adam(p, lr=torch.tensor(1e-2), fused=True),
    "adamw": lambda p: AdamW(p, lr=1e-2, fused=True),
    "adamw_amsgrad": lambda p: AdamW(p, lr=1e-2, weight_decay=0.1, amsgrad=True, fused=True),
    "adagrad": lambda p: Adagrad(p, lr=0.05, lr_decay=0.1, weight_decay=0.01, fused=True),
    "adagrad_start": lambda p: Adagrad(p, lr=0.05, initial_accumulator_value=0.2, fused=True),
}

ACCUMULATION = {  # 5 batches an epoch: groups of 3 and 2
    "clip_norm": DROPOUT.but(rows=36, accumulate=3, clip_norm=0.2),
    "clip_value": DROPOUT.but(rows=36, accumulate=3, clip_value=0.02),
    "clip_both": DROPOUT.but(rows=36, accumulate=3, clip_norm=0.2, clip_value=0.03),
    "clip_norm_unreached": DROPOUT.but(rows=36, accumulate=3, clip_norm=100.0),
    "cnn": MODELS["cnn"].but(rows=36, accumulate=3, clip_norm=0.5),
    "unused_parameter": PARTS["unused_parameter"].but(accumulate=3, clip_norm=0.1),
    "onecycle": DROPOUT.but(
        rows=36, accumulate=3, scheduler=lambda o: sched.OneCycleLR(o, 0.1, total_steps=6), per="batch"
    ),
}

SCHEDULES = {
    "cosine": DROPOUT.but(scheduler=lambda o: sched.CosineAnnealingLR(o, 3)),
    "warmup_then_step": DROPOUT.but(
        epochs=4,
        scheduler=lambda o: sched.SequentialLR(o, [sched.LinearLR(o, 0.1, 1.0, 2), sched.StepLR(o, 1)], [2]),
    ),
    "plateau": DROPOUT.but(
        epochs=6, scheduler=lambda o: sched.ReduceLROnPlateau(o, factor=0.5, patience=0, threshold=0.2)
    ),
    "onecycle_adam": DROPOUT.but(scheduler=lambda o: sched.OneCycleLR(o, 0.1, total_steps=9), per="batch"),
    "onecycle_sgd": DROPOUT.but(
        optimizer=lambda p: SGD(p, lr=0.1, momentum=0.9, fused=True),
        scheduler=lambda o: sched.OneCycleLR(o, 0.1, total_steps=9),
        per="batch",
    ),
    "cyclic": DROPOUT.but(
        optimizer=lambda p: SGD(p, lr=0.1, momentum=0.9, fused=True),
        scheduler=lambda o: sched.CyclicLR(o, 0.01, 0.2, step_size_up=4),
        per="batch",
    ),
    "lambda_per_batch": DROPOUT.but(scheduler=lambda o: sched.LambdaLR(o, lambda n: 1 / (1 + n)), per="batch"),
    "tensor_rate": DROPOUT.but(
        optimizer=OPTIMIZERS["adam_tensor_lr"], scheduler=lambda o: sched.ExponentialLR(o, 0.9), per="batch"
    ),
}

BATCHES = {
    "short_last": DROPOUT.but(rows=21),
    "drop_last": DROPOUT.but(rows=21, drop_last=True),
    "shuffle_off": DROPOUT.but(rows=21, shuffle=False),
    "shuffle_off_drop_last": DROPOUT.but(rows=21, shuffle=False, drop_last=True),
    "one_batch": DROPOUT.but(rows=8),
    "one_row_last": DROPOUT.but(rows=9),
    "no_seed": DROPOUT.but(rows=21, seed=None),
    "no_seed_shuffle_off": DROPOUT.but(rows=21, seed=None, shuffle=False),
    "no_seed_noise_in_validation": MODELS["noisy_autoencoder"].but(seed=None),
}


def two_inputs(rows: int) -> tuple[Any, Tensor]:
    g = torch.Generator().manual_seed(rows)
    kind = torch.randint(5, (rows,), generator=g)
    return (torch.randn(rows, 6, generator=g), kind), kind % 3


def named(rows: int) -> tuple[Any, Any]:
    (numbers, kind), label = two_inputs(rows)
    return {"kind": kind, "numbers": numbers}, {"label": label, "size": numbers.sum(1)}


def both_losses(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(outputs["logits"], targets["label"]) + F.mse_loss(outputs["size"], targets["size"])


def wrapped(wrap: Any, pick: Any) -> Case:
    def loss(outputs: Any, targets: Tensor) -> Tensor:
        logits, hidden = pick(outputs)
        return F.cross_entropy(logits, targets) + 0.01 * hidden.square().mean()

    return Case(lambda: m.Wrapped(wrap), m.features(6), loss, val_rows=10)


STRUCTURES = {
    "tuple_inputs": Case(m.TwoInputs, two_inputs, val_rows=10, metrics={"accuracy": hits}),
    "dict_inputs_dict_targets": Case(m.TwoTasks, named, both_losses, val_rows=10),
    "tuple_targets": Case(
        lambda: nn.Linear(6, 3),
        lambda rows: (m.features(6)(rows)[0], (m.features(6)(rows)[1], torch.ones(rows))),
        lambda outputs, targets: (F.cross_entropy(outputs, targets[0], reduction="none") * targets[1]).mean(),
        val_rows=10,
    ),
    "tuple_outputs": wrapped(lambda logits, hidden: (logits, hidden), lambda out: out),
    "dict_outputs": wrapped(
        lambda logits, hidden: {"logits": logits, "hidden": hidden}, lambda out: (out["logits"], out["hidden"])
    ),
    "dataclass_outputs": wrapped(m.Prediction, lambda out: (out.logits, out.hidden)),
    "nested_outputs": wrapped(
        lambda logits, hidden: {"all": [m.Prediction(logits), (hidden, None)]},
        lambda out: (out["all"][0].logits, out["all"][1][0]),
    ),
}

DEFAULT_OPTIMIZERS = {  # as users write them, not fused
    "sgd": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: Adam(p, lr=1e-2),
    "adamw": lambda p: AdamW(p, lr=1e-2),
    "adagrad": lambda p: Adagrad(p, lr=0.05),
}
