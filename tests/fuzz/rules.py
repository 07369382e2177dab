"""The rules of the loop and its dispatch, as a plain model: what must happen in a training with these callbacks."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

_DEF = Path(__file__).parents[2] / "csrc/include/pyhooks/events.def"
_LINES = re.findall(r"^PYHOOKS_EVENT\((\w+), (\w+)\)", _DEF.read_text(encoding="utf-8"), re.MULTILINE)
EVENTS = [name for name, _ in _LINES]
KINDS = dict(_LINES)
RAISE, WARN, DISABLE = range(3)


@dataclasses.dataclass
class Act:
    """What a callback does in one of its calls."""

    what: str
    whom: int


@dataclasses.dataclass
class Spec:
    """A callback that may be added."""

    id: int
    phase: int
    priority: int
    every: int
    once: bool
    after: int
    before: int
    policy: int
    events: int
    at_start: bool
    acts: dict[tuple[int, int], list[Act]] = dataclasses.field(default_factory=dict)

    def listens(self, event: int) -> bool:
        return bool(self.events >> event & 1)

    def is_filtered(self, event: str) -> bool:
        """Of a listener to batch events, epoch events always pass; of one to several events, run events do."""
        kinds = {KINDS[name] for i, name in enumerate(EVENTS) if self.listens(i)}
        if KINDS[event] == "epoch":
            return "batch" not in kinds
        return KINDS[event] == "batch" or self.events.bit_count() == 1

    def passes(self, n: int) -> bool:
        return self.after < n < self.before and n % self.every == 0


class Thrown(Exception):
    pass


@dataclasses.dataclass
class Added:
    """A registration."""

    spec: Spec
    order: int
    alive: bool = True
    calls: int = 0
    failures: int = 0
    by_event: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Round:
    """A training: its size and its callbacks."""

    epochs: int
    batches: int
    accumulate: int
    validation: int
    specs: dict[int, Spec] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        """As the program reads it."""
        lines = [f"round {self.epochs} {self.batches} {self.accumulate} {self.validation}"]
        for s in self.specs.values():
            fields = (s.id, s.phase, s.priority, s.every, int(s.once), s.after, s.before, s.policy, s.events)
            lines.append(f"callback {' '.join(map(str, fields))} {int(s.at_start)}")
        for s in self.specs.values():
            for (event, call), acts in s.acts.items():
                lines += [f"act {s.id} {event} {call} {act.what} {act.whom}" for act in acts]
        return "\n".join([*lines, "end\n"])

    def predict(self) -> list[str]:
        """What the program must print."""
        model = Model(self)
        result = model.run()
        alive = "".join(f" {a.spec.id}:{a.calls}:{a.failures}" for a in model.added if a.alive)
        return [*model.notes, f"result {result}; steps {model.steps}; votes {model.votes}; alive{alive}"]


class Model:
    """One training, step by step."""

    def __init__(self, round_: Round) -> None:
        self.round = round_
        self.added: list[Added] = []
        self.counts: dict[str, int] = {}
        self.notes: list[str] = []
        self.votes = self.steps = self.epoch = 0
        self.event = ""
        self.pending = self.skipping = self.may_skip = False
        for spec in round_.specs.values():
            if spec.at_start:
                self.add(spec.id)

    # --- the dispatcher

    def add(self, number: int) -> None:
        if not any(a.alive and a.spec.id == number for a in self.added):
            self.added.append(Added(self.round.specs[number], len(self.added)))

    def fire(self, event: str) -> None:
        for error in self.each(event):
            raise error

    def fire_all(self, event: str) -> list[Thrown]:
        return list(self.each(event))

    def each(self, event: str):
        """Call the listeners; yields what policies let through."""
        n = self.counts[event] = self.counts.get(event, 0) + 1
        listeners = [a for a in self.added if a.alive and a.spec.listens(EVENTS.index(event))]
        for a in sorted(listeners, key=lambda a: (a.spec.phase, -a.spec.priority, a.order)):
            if not a.alive:
                continue
            if a.spec.is_filtered(event):
                if not a.spec.passes(n):
                    continue
                a.alive = not a.spec.once
            try:
                self.call(a, event)
            except Thrown as error:
                if a.spec.policy == RAISE:
                    yield error
                    continue
                a.failures += 1
                if a.spec.policy == DISABLE:
                    a.alive = False

    def call(self, a: Added, event: str) -> None:
        a.calls += 1
        call = a.by_event[event] = a.by_event.get(event, 0) + 1
        self.notes.append(f"{a.spec.id} {event} {self.epoch} {self.steps}")
        self.event = event
        for act in a.spec.acts.get((EVENTS.index(event), call), []):
            self.act(a, act)

    def act(self, a: Added, act: Act) -> None:
        if act.what == "vote":
            self.votes += 1
        elif act.what == "add":
            self.add(act.whom)
        elif act.what == "remove":
            for other in self.added:
                other.alive &= other.spec.id != act.whom
        elif act.what == "throw":
            raise Thrown(f"thrown by {a.spec.id}")
        elif act.what == "skip":
            if KINDS[self.event] != "batch":
                raise Thrown("skip")
            if not self.step_to_come():
                raise Thrown(
                    f"skip_step() was called at {self.event}, where no step is to come; call it from "
                    "on_train_batch_start to optimizer_step"
                )
            self.skipping = True

    def step_to_come(self) -> bool:
        if self.event.startswith("on_val"):
            return False
        if self.event in ("on_params_update", "on_before_zero_grad"):
            return False
        return self.event == "on_train_batch_start" or self.pending

    # --- the loop

    def run(self) -> str:
        try:
            for event in ("on_pretrain_routine_start", "on_pretrain_routine_end", "on_train_start"):
                self.fire(event)
            self.run_epochs()
            if self.votes:
                self.fire("on_early_stop")
            self.fire("on_train_end")
        except Thrown as error:
            self.fire_all("on_exception")
            self.fire_all("teardown")
            return f"raised {error}"
        errors = self.fire_all("teardown")
        return f"raised {errors[0]}" if errors else "done"

    def run_epochs(self) -> None:
        while not self.votes:
            self.run_epoch()
            if self.votes or self.epoch + 1 == self.round.epochs:
                return
            self.epoch += 1

    def run_epoch(self) -> None:
        self.fire("on_train_epoch_start")
        if self.votes:
            return
        for batch in range(self.round.batches):
            if self.votes:
                break
            self.train_batch(batch)
        if self.pending:
            self.end_group()
        self.fire("on_train_epoch_end")
        if self.round.validation:
            self.fire("on_val_start")
            for _ in range(self.round.validation):
                self.fire("on_val_batch_start")
                self.fire("on_val_batch_end")
            self.fire("on_val_end")
        self.fire("on_fit_epoch_end")

    def train_batch(self, batch: int) -> None:
        last = (batch + 1) % self.round.accumulate == 0 or batch + 1 == self.round.batches
        self.fire("on_train_batch_start")
        self.pending = True
        self.fire("on_backward_end")
        if last:
            self.end_group()
        self.fire("on_train_batch_end")

    def end_group(self) -> None:
        if not self.skipping:
            self.fire("optimizer_step")
        if not self.skipping:
            self.steps += 1
            self.fire("on_params_update")
        self.fire("on_before_zero_grad")
        self.pending = self.skipping = False
