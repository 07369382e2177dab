"""More than one fit, and what is asked of a trained model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from parity import plain
from parity.cases import ACCUMULATION, DROPOUT, MODELS, OPTIMIZERS, SCHEDULES, STRUCTURES
from parity.compare import assert_equal, assert_equal_parts, assert_parity
from parity.harness import Case, build, fit, trainer_for
from parity.models import PartlyFrozen
from parity.models import Wrapped as TwoHeads
from torch import Tensor
from torch.utils import _pytree as pytree

from pyhooks.tree import flatten

pytestmark = pytest.mark.filterwarnings("error")

AGAIN = {
    "dropout": DROPOUT,
    "no_seed": DROPOUT.but(seed=None),
    "cnn": MODELS["cnn"],
    "momentum": DROPOUT.but(optimizer=OPTIMIZERS["sgd_momentum"]),
    "amsgrad": DROPOUT.but(optimizer=OPTIMIZERS["adam_amsgrad"]),
    "adagrad": DROPOUT.but(optimizer=OPTIMIZERS["adagrad"]),
    "accumulation": ACCUMULATION["clip_norm"],
    "onecycle": SCHEDULES["onecycle_adam"].but(
        scheduler=lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, total_steps=18)
    ),
    "plateau": SCHEDULES["plateau"],
}


@pytest.mark.parametrize("name", AGAIN)
def test_a_second_fit_goes_on_from_the_first(name: str, engine: str) -> None:
    case = AGAIN[name]
    theirs, mine = build(case), build(case)
    torch.manual_seed(1)
    wanted = [plain.fit(case, theirs, case.train_data(), case.val_data()) for _ in range(2)]
    generator = torch.get_rng_state()
    torch.manual_seed(1)
    trainer = trainer_for(case, mine, engine)
    for record in wanted:
        fit(case, trainer, case.train_data(), case.val_data())
        assert trainer.history.batch["loss"].tolist()[-len(record.losses) :] == record.losses
    assert torch.equal(torch.get_rng_state(), generator)
    assert_equal_parts(mine, theirs)


def test_a_plain_loop_goes_on_from_a_fit_and_a_fit_from_a_plain_loop(engine: str) -> None:
    case = MODELS["cnn"]
    theirs, mine = build(case), build(case)
    for _ in range(3):
        plain.fit(case, theirs, case.train_data())
    fit(case, trainer_for(case, mine, engine), case.train_data())
    plain.fit(case, mine, case.train_data())
    fit(case, trainer_for(case, mine, engine), case.train_data())
    assert_equal_parts(mine, theirs)


def test_batches_are_built_in_another_order_in_a_second_fit(engine: str) -> None:
    """The same tensors under the same names: only the structure of the batches tells them apart."""
    numbers, more = DROPOUT.data(16)[0], DROPOUT.data(17)[0][:16]
    targets = DROPOUT.data(16)[1]

    def batches(first: str, second: str) -> list[Any]:
        rows = {"numbers": numbers, "more": more}
        return list(plain.slices(({first: rows[first], second: rows[second]}, targets), 8))

    class Difference(torch.nn.Linear):
        def forward(self, numbers: Tensor, more: Tensor) -> Tensor:
            return super().forward(numbers) - 2 * super().forward(more)

    case = DROPOUT.but(model=lambda: Difference(6, 3), shuffle=False)
    theirs, mine = build(case), build(case)
    trainer = trainer_for(case, mine, engine)
    for order in (("numbers", "more"), ("more", "numbers")):
        plain.fit(case, theirs, ({key: {"numbers": numbers, "more": more}[key] for key in order}, targets))
        fit(case, trainer, batches(*order), batches(*reversed(order)))
        for one in (order, order[::-1]):
            assert trainer.evaluate(batches(*one)) == trainer.evaluate(batches(*order))
    assert_equal_parts(mine, theirs)


def test_layers_are_unfrozen_between_two_fits(engine: str) -> None:
    def groups(model: PartlyFrozen) -> list[Any]:
        return list(model.parameters())

    case = Case(PartlyFrozen, DROPOUT.data, groups=groups)
    theirs, mine = build(case), build(case)
    trainer = trainer_for(case, mine, engine)
    for _ in range(2):
        plain.fit(case, theirs, case.train_data())
        fit(case, trainer, case.train_data())
        for parts in (theirs, mine):
            parts.model.backbone.requires_grad_(True).train()
    assert_equal_parts(mine, theirs)


@pytest.mark.parametrize("verify", [0, 1, 5])
def test_verification_changes_nothing(verify: int) -> None:
    assert_parity(MODELS["cnn"].but(rows=36), "graph", verify=verify)


def test_callbacks_in_python_change_nothing(engine: str) -> None:
    case = DROPOUT
    theirs, mine = build(case), build(case)
    record = plain.fit(case, theirs, case.train_data(), case.val_data())
    trainer = trainer_for(case, mine, engine)
    seen: list[Any] = []
    for event in ("on_train_epoch_start", "on_train_epoch_end", "on_val_end", "on_fit_epoch_end"):
        trainer.add_callback(event, lambda t: seen.append((t.optimizer.state_dict(), t.metrics, t.loss)))
    fit(case, trainer, case.train_data(), case.val_data())
    assert len(seen) == 4 * case.epochs
    assert trainer.history.batch["loss"].tolist() == record.losses
    assert_equal_parts(mine, theirs)


@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "gpt"])
def test_evaluate(name: str, engine: str) -> None:
    case = MODELS[name]
    parts = build(case)
    trainer = trainer_for(case, parts, engine)
    fit(case, trainer, case.train_data())
    data = case.data(19)  # two batches of 8 and one of 3
    state = torch.get_rng_state()
    assert trainer.evaluate(data, batch_size=8) == plain.evaluate(case, parts, data)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", STRUCTURES)
def test_predict(name: str, engine: str) -> None:
    case = STRUCTURES[name]
    parts = build(case)
    trainer = trainer_for(case, parts, engine)
    fit(case, trainer, case.train_data())
    inputs, _ = case.data(19)
    found, tree = flatten(trainer.predict(inputs, batch_size=8))
    parts.model.eval()
    batches = []
    with torch.no_grad():
        for part, _ in plain.slices((inputs, pytree.tree_leaves(inputs)[0]), 8):
            tensors, wanted_tree = flatten(plain.forward(parts.model, part))
            batches.append(tensors)
    wanted: list[Tensor] = [torch.cat(list(rows)) for rows in zip(*batches, strict=True)]
    assert tree == wanted_tree
    assert_equal(found, wanted, "prediction")


def test_predict_between_fits_of_a_model_that_returns_more_in_training(engine: str) -> None:
    class Auxiliary(TwoHeads):
        def forward(self, x: Tensor) -> Any:
            logits, hidden = super().forward(x)
            return (logits, hidden) if self.training else logits

    def loss(outputs: Any, targets: Tensor) -> Tensor:
        logits = outputs[0] if isinstance(outputs, tuple) else outputs
        return torch.nn.functional.cross_entropy(logits, targets)

    case = DROPOUT.but(model=lambda: Auxiliary(lambda logits, hidden: (logits, hidden)), loss=loss)
    parts = build(case)
    trainer = trainer_for(case, parts, engine)
    for _ in range(2):
        fit(case, trainer, case.train_data(), case.val_data())
        inputs, _ = case.data(8)
        found = trainer.predict(inputs)
        parts.model.eval()
        assert_equal(found, parts.model(inputs).detach(), "prediction")
        parts.model.train()


@pytest.mark.parametrize("training", [True, False])
def test_evaluate_and_predict_leave_the_model_in_its_mode(training: bool, engine: str) -> None:
    case = MODELS["cnn"]
    parts = build(case)
    parts.model.train(training)
    before = {key: value.clone() for key, value in parts.model.state_dict().items()}
    trainer = trainer_for(case, parts, engine)
    trainer.evaluate(case.data(10), batch_size=4)
    trainer.predict(case.data(10)[0], batch_size=4)
    assert all(module.training == training for module in parts.model.modules())
    assert_equal(parts.model.state_dict(), before, "model")
