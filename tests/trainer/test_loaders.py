"""DataLoaders: workers, reading ahead, random numbers."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from trainer_helpers import assert_same, points, state_of, trainer_of

X, Y = points(40)


def loader(**options: Any) -> DataLoader:
    return DataLoader(TensorDataset(X, Y), batch_size=8, **options)


class Notes:
    """Batches that note when they are asked for, and in which thread."""

    def __init__(self, trainer_peek: Any = None) -> None:
        self.threads: list[int] = []
        self.given: list[Tensor] = []

    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Any:
        for x, y in zip(X.split(8), Y.split(8), strict=True):
            self.threads.append(threading.get_ident())
            self.given.append(x)
            yield x, y


def test_workers_give_what_no_workers_give() -> None:
    states = []
    for workers in (0, 2):
        trainer = trainer_of(seed=3)
        generator = torch.Generator().manual_seed(1)
        trainer.fit(loader(shuffle=True, num_workers=workers, generator=generator), epochs=2)
        states.append(state_of(trainer))
    assert_same(*states)


def test_a_loader_draws_its_order_as_in_a_plain_loop() -> None:
    trainer = trainer_of(seed=3)
    trainer.fit(loader(shuffle=True), epochs=2)
    model = torch.nn.Linear(4, 3)
    model.load_state_dict(trainer_of().model.state_dict())
    torch.manual_seed(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    data = loader(shuffle=True)
    for _ in range(2):
        for x, y in data:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert torch.equal(trainer.model.weight, model.weight)


def test_batches_are_read_ahead_when_nothing_else_draws_random_numbers() -> None:
    notes = Notes()
    trainer = trainer_of(engine="graph", verify=0)
    trainer.fit(notes, epochs=2)
    ours = [thread == threading.get_ident() for thread in notes.threads]
    assert ours == [True, False, False, False, False] * 2, "an epoch's first batch by us, the others ahead"
    expected = trainer_of(engine="graph", verify=0)
    expected.fit((X, Y), epochs=2, batch_size=8, shuffle=False)
    assert_same(state_of(trainer), state_of(expected))


@pytest.mark.parametrize("model", [nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)), nn.Linear(4, 3)])
@pytest.mark.parametrize("engine", ["graph", "python"])
def test_batches_are_not_read_ahead_when_the_step_may_draw(model: nn.Module, engine: str) -> None:
    notes = Notes()
    trainer_of(model, engine=engine, verify=0).fit(notes, epochs=2)
    ahead = engine == "graph" and isinstance(model, nn.Linear)
    assert (len(set(notes.threads)) > 1) == ahead


def test_loader_and_dropout_share_the_generator_as_in_a_plain_loop(engine: str) -> None:
    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))

    class Noisy(TensorDataset):
        def __getitem__(self, i: int) -> tuple[Tensor, ...]:
            x, y = super().__getitem__(i)
            return x + torch.randn(4), y

    data = DataLoader(Noisy(X, Y), batch_size=8, shuffle=True)
    trainer = trainer_of(model(), engine=engine, seed=5)
    trainer.fit(data, epochs=2)
    plain = model()
    torch.manual_seed(5)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, fused=True)
    for _ in range(2):
        for x, y in data:
            optimizer.zero_grad()
            nn.functional.cross_entropy(plain(x), y).backward()
            optimizer.step()
    for mine, theirs in zip(trainer.model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_stop_ends_reading_ahead() -> None:
    notes = Notes()
    trainer = trainer_of(engine="graph", verify=0)
    trainer.add_callback("on_train_epoch_start", lambda t: t.request_stop("enough"), after=1)
    trainer.fit(notes, epochs=10)
    assert len(notes.given) == 5
    assert not [thread for thread in threading.enumerate() if thread is not threading.main_thread()]


def test_batches_are_let_go_of() -> None:
    import weakref

    class Counting:
        def __init__(self) -> None:
            self.alive: list[weakref.ref[Any]] = []
            self.most = 0

        def __len__(self) -> int:
            return 50

        def __iter__(self) -> Any:
            for i in range(50):
                x, y = points(8, i)
                self.alive.append(weakref.ref(x.untyped_storage()))
                x = x.clone()
                self.alive.append(weakref.ref(x))
                self.most = max(self.most, sum(ref() is not None for ref in self.alive))
                yield x, y

    counting = Counting()
    trainer_of().fit(counting, epochs=1)
    gc.collect()
    assert counting.most < 10
