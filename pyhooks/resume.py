"""What a checkpoint holds of a trainer, and how it comes back."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pyhooks import checkpoint
from pyhooks.encoding import Copies, decode, encode, with_tensors, without_tensors
from pyhooks.optim import hyper_of, set_hyper
from pyhooks.wording import kind

if TYPE_CHECKING:
    from pyhooks.fit import Fit
    from pyhooks.trainer import Trainer


@dataclasses.dataclass
class Snapshot:
    """A trainer's state at the end of an epoch.

    Args:
        tensors: "model.<name>", "loss.<name>", "optimizer.<i>.<name>", "rng.default", "rng.sampler",
            "callback.<i>.<key>", "native.<i>.<field>", "extra.<i>.<key>" (tensors in what a module's
            ``get_extra_state`` returned).
        meta: numbers and words, JSON-able.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]

    @classmethod
    def take(cls, trainer: Trainer, spare: Mapping[str, Tensor] | None = None) -> Snapshot:
        """Of a trainer now, in or after a ``fit``; in the memory of an earlier one's tensors, if it gets them."""
        fit = trainer._fit
        if fit is None:
            raise RuntimeError("a checkpoint was asked for before fit(): there is nothing to save but the model itself")
        tensors = Copies(spare)
        tensors["rng.default"] = torch.default_generator.get_state()
        extra: dict[str, Any] = {}
        for prefix, module in _modules(trainer):
            for name, value in module.state_dict().items():
                if isinstance(value, Tensor):
                    tensors.keep(f"{prefix}.{name}", value)
                else:
                    extra[f"{prefix}.{name}"] = _extra_state(value, f"{prefix}.{name}", len(extra), tensors)
        if fit.sampler_state is not None:
            tensors["rng.sampler"] = fit.sampler_state
        history = trainer.history.epochs
        if trainer.epoch == len(history) - 1:
            history[-1] = trainer.metrics  # with what callbacks have logged at this event
        meta = {
            "epochs_done": len(history),
            "global_step": trainer.global_step,
            "lr_factor": fit.loop.lr_factor,
            "best_fitness": trainer.best_fitness,
            "best_epoch": trainer.best_epoch,
            "history": history,
            "optimizer": _optimizer_state(trainer, tensors),
            "kinds": _kinds(trainer),
            "scheduler": None if trainer._schedule is None else encode(trainer._schedule.scheduler.state_dict()),
            "timetable": None if trainer._timetable is None else trainer._timetable.state_dict(),
            "callbacks": _callback_states(trainer, tensors),
            "native": _native_states(trainer, tensors),
            "extra": extra,
        }
        tensors.finish()
        return cls(tensors, meta)

    def parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and meta, as ``pyhooks.checkpoint.save`` takes them."""
        return self.tensors, self.meta

    @classmethod
    def load(cls, trainer: Trainer, path: str | os.PathLike[str]) -> Snapshot:
        """Read a file and load model, optimizer, scheduler and callbacks; the rest waits for :meth:`resume`."""
        tensors, meta = checkpoint.load(path)
        snapshot = cls(tensors, meta)
        snapshot._check(trainer)
        for prefix, module in _modules(trainer):
            module.load_state_dict(snapshot.module_state(prefix))
        snapshot._load_optimizer(trainer)
        if trainer._schedule is not None:
            trainer._schedule.scheduler.load_state_dict(decode(meta["scheduler"]))
        if trainer._timetable is not None:
            trainer._timetable.load_state_dict(meta["timetable"])
        snapshot._load_callbacks(trainer)
        return snapshot

    def module_state(self, prefix: str) -> dict[str, Any]:
        """A module's ``state_dict``: of "model" or "loss"."""
        return {**self._under(prefix), **self._extra(prefix)}

    def native_states(self) -> dict[str, dict[str, Any]]:
        """What native callbacks had kept, by key."""
        return {
            entry["key"]: with_tensors(entry["state"], self._under(f"native.{i}"))
            for i, entry in enumerate(self.meta.get("native", []))
        }

    def resume(self, fit: Fit) -> None:
        """Set a run's counters and random numbers, just before it starts."""
        meta, loop = self.meta, fit.loop
        if meta["epochs_done"] >= fit.options.epochs:
            raise ValueError(
                f"the checkpoint was made after epoch {meta['epochs_done']}, and fit was asked for "
                f"epochs={fit.options.epochs} in all: "
                "ask for more epochs to go on"
            )
        loop.start_epoch, loop.start_step = meta["epochs_done"], meta["global_step"]
        loop.start_lr_factor = meta.get("lr_factor", 1.0)
        best_epoch = -1 if meta["best_epoch"] is None else meta["best_epoch"]
        loop.restore(meta["best_fitness"], best_epoch, meta["history"])
        fit.callback_states = self.native_states()
        torch.default_generator.set_state(self.tensors["rng.default"])
        if "rng.sampler" in self.tensors:
            fit.sampler_state = self.tensors["rng.sampler"]

    def _check(self, trainer: Trainer) -> None:
        """Refuse a trainer that this was not made from, before anything of it is changed."""
        for prefix, module in _modules(trainer):
            theirs = {name: _form(value) for name, value in self.module_state(prefix).items()}
            ours = {name: _form(value) for name, value in module.state_dict().items()}
            for name in dict.fromkeys([*ours, *theirs]):
                if ours.get(name) != theirs.get(name):
                    raise ValueError(
                        f"the checkpoint does not fit the {prefix}: {name} is {_listed(theirs.get(name))} in the "
                        f"checkpoint and {_listed(ours.get(name))} here"
                    )
        for word, theirs in self.meta["kinds"].items():
            ours = _kinds(trainer)[word]
            if ours != theirs:
                raise ValueError(
                    f"the checkpoint was made with the {_KINDS[word]} {_listed(theirs)}, this trainer has "
                    f"{_listed(ours)}: make the trainer as it was, callbacks in the same order, before load_checkpoint"
                )

        ours_native = [info["key"] for info in trainer._dispatcher.registrations() if info["native"]]
        for entry in self.meta.get("native", []):
            if entry["key"] not in ours_native:
                raise ValueError(
                    f"the checkpoint keeps the state of the native callback {entry['key']!r}, this trainer has "
                    f"{_listed(', '.join(ours_native) or None)}: add it before load_checkpoint "
                    f"(with id={entry['key']!r} if it is called otherwise here)"
                )

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(f"{prefix}."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }

    def _extra(self, prefix: str) -> dict[str, Any]:
        """The entries of a module's ``state_dict`` that are no tensors."""
        return {
            name.removeprefix(f"{prefix}."): with_tensors(decode(value), self._under(f"extra.{i}"))
            for i, (name, value) in enumerate(self.meta.get("extra", {}).items())
            if name.startswith(f"{prefix}.")
        }

    def _load_optimizer(self, trainer: Trainer) -> None:
        for group, saved in zip(trainer._optimizer.param_groups, self.meta["optimizer"], strict=True):
            set_hyper(group, saved["hyper"])
            group.update({key: value for key, value in saved.items() if key != "hyper"})
        for i, param in enumerate(_optimizer_params(trainer)):
            state = self._under(f"optimizer.{i}")
            if state:
                trainer._optimizer.state[param].update(
                    {key: _laid_out_as(param, value) for key, value in state.items()}
                )

    def _load_callbacks(self, trainer: Trainer) -> None:
        if "callbacks" not in self.meta:  # written by a trainer in C++, which has none of these: they begin anew
            return
        ours = [callback for _, callback in trainer._python_callbacks]
        for i, (callback, entry) in enumerate(zip(ours, self.meta["callbacks"], strict=True)):
            callback.load_state_dict(with_tensors(decode(entry["state"]), self._under(f"callback.{i}")))


_KINDS = {
    "callbacks": "Python callbacks",
    "optimizer": "optimizer",
    "parameter groups": "parameter groups",
    "scheduler": "scheduler",
}


def _kinds(trainer: Trainer) -> dict[str, Any]:
    """What a trainer is made of, in words: what must be the same to go on from a checkpoint."""
    return {
        "callbacks": [type(callback).__name__ for _, callback in trainer._python_callbacks],
        "optimizer": type(trainer._optimizer).__name__,
        "parameter groups": [f"{len(group['params'])} tensors" for group in trainer._optimizer.param_groups],
        "scheduler": _schedulers(trainer),
    }


def _schedulers(trainer: Trainer) -> str | None:
    names = [] if trainer._schedule is None else [type(trainer._schedule.scheduler).__name__]
    if trainer._timetable is not None:
        names.append(f"shapes of {', '.join(trainer._timetable.shapes)}")
    return " and ".join(names) or None


def _listed(value: Any) -> str:
    return "none" if value is None else str(value)


def _modules(trainer: Trainer) -> list[tuple[str, nn.Module]]:
    return list(zip(("model", "loss"), trainer._provider.step_modules(), strict=False))


def _optimizer_params(trainer: Trainer) -> list[Tensor]:
    return [param for group in trainer._optimizer.param_groups for param in group["params"]]


def _optimizer_state(trainer: Trainer, tensors: Copies) -> list[dict[str, Any]]:
    optimizer = trainer.optimizer  # brought up to date
    for i, param in enumerate(_optimizer_params(trainer)):
        for key, value in optimizer.state.get(param, {}).items():
            if isinstance(value, Tensor):
                tensors.keep(f"optimizer.{i}.{key}", value)
    groups = []
    for group in optimizer.param_groups:
        plain = {key: value for key, value in group.items() if isinstance(value, bool | int | float | str)}
        groups.append({**plain, "hyper": list(hyper_of(group))})
    return groups


def _laid_out_as(param: Tensor, value: Tensor) -> Tensor:
    """A state tensor with its parameter's strides: a file keeps none, and the fused kernels go through both in step."""
    return torch.empty_like(param, dtype=value.dtype).copy_(value) if value.shape == param.shape else value


def _callback_states(trainer: Trainer, tensors: Copies) -> list[dict[str, Any]]:
    states = []
    for i, (_, callback) in enumerate(trainer._python_callbacks):
        state = without_tensors(callback.state_dict(), f"callback.{i}", tensors)
        states.append({"kind": type(callback).__name__, "state": encode(state)})
    return states


def _native_states(trainer: Trainer, tensors: Copies) -> list[dict[str, Any]]:
    states = []
    for i, (key, state) in enumerate(trainer._dispatcher.states().items()):
        states.append({"key": key, "state": without_tensors(state, f"native.{i}", tensors)})
    return states


def _form(value: Any) -> list[int] | str:
    return list(value.shape) if isinstance(value, Tensor) else "extra state"


def _extra_state(value: Any, name: str, i: int, tensors: Copies) -> Any:
    """JSON for an entry of a ``state_dict`` that is no tensor; tensors in it go to ``tensors``."""
    try:
        return encode(without_tensors(value, f"extra.{i}", tensors))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"a checkpoint cannot keep {name} of state_dict() ({kind(value)}): {error}. pyhooks writes no pickles: let "
            "get_extra_state return a tensor, numbers, strings, or lists of them, or dicts of these and tensors"
        ) from error
