"""Averaged weights that native callbacks keep: how to read them, compute with them, and load them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pyhooks import _C, checkpoint
from pyhooks.engines import StepProvider
from pyhooks.resume import Snapshot
from pyhooks.run_view import RunView
from pyhooks.wording import kind

PREFIX = "average."  # of the fields of a callback's state that are averages, named by parameter or buffer


class AveragesView(RunView):
    """What a trainer offers of its native callbacks' states, and of the averages among them."""

    _model: nn.Module
    _provider: StepProvider
    _dispatcher: _C.Dispatcher
    _lent: bool = False
    _alone: Callable[[Callable[[], None]], AbstractContextManager[None]]

    def native_state(self, key: str) -> dict[str, Any]:
        """A copy of what a native callback keeps in checkpoints.

        Args:
            key: the callback's ``id``, else its class name, numbered where there are several: "EMA", "EMA#2".

        Raises:
            ValueError: no native callback of that key keeps anything.

        Example:
            >>> trainer.native_state("EMA")["updates"]     # doctest: +SKIP
            300
        """
        self._check_thread("native_state")
        states: dict[str, dict[str, Any]] = self._dispatcher.states()
        if key not in states:
            raise ValueError(f"no native callback {key!r} keeps a state here; {_listed(states)} do")
        return states[key]

    def averaged_weights(self, key: str | None = None) -> dict[str, Any]:
        """The model's ``state_dict()`` with the averages in place of what they are averages of, all copies.

        Args:
            key: whose averages: the callback's ``id``, else its class name, numbered where there are several. Default:
                None, the only ones there are.

        Raises:
            ValueError: there are no averages yet, or several and no key.

        Example:
            >>> torch.save(trainer.averaged_weights(), "ema.pt")     # doctest: +SKIP
        """
        self._check_thread("averaged_weights")
        averages = self._averages(key)
        of = {id(tensor): averages[name] for name, tensor in self._tensors().items() if name in averages}
        state = self._model.state_dict(keep_vars=True)
        return {
            name: of.get(id(value), value).detach().clone() if isinstance(value, Tensor) else value
            for name, value in state.items()
        }

    @contextmanager
    def averaged(self, key: str | None = None) -> Iterator[nn.Module]:
        """Let the model have the averages inside a ``with`` block; then it has its own weights again.

        ``evaluate``, ``predict`` and whatever saves the model work with the averages there; ``fit`` is refused.

        Args:
            key: as for :meth:`averaged_weights`.

        Yields:
            The model.

        Raises:
            ValueError: there are no averages yet, or several and no key.

        Example:
            >>> with trainer.averaged():     # doctest: +SKIP
            ...     print(trainer.evaluate(test))
        """
        with self._alone(lambda: self._check_thread("averaged")):
            averages, tensors = self._averages(key), self._tensors()
            own = {name: tensors[name].detach().clone() for name in averages.keys() & tensors.keys()}
            outer, self._lent = self._lent, True
            try:
                _copy(averages, tensors)
                yield self._model
            finally:
                _copy(own, tensors)
                self._lent = outer

    def _averages(self, key: str | None) -> dict[str, Tensor]:
        return _averages(self._dispatcher.states(), key, "this trainer")

    def _tensors(self) -> dict[str, Tensor]:
        """The parameters and buffers by the names native callbacks know them by."""
        step = self._provider.blank_step()
        return {**step.parameters(), **step.constants()}


def load_weights(path: str | os.PathLike[str], model: nn.Module, averaged: str | None = None) -> nn.Module:
    """Load a model's weights and buffers out of a checkpoint, without a trainer.

    Args:
        path: what :class:`pyhooks.callbacks.Checkpoint` wrote.
        model: of the architecture that was trained; changed in place.
        averaged: whose averages to take instead of what was trained: the key of a native callback, as "EMA". Default:
            None, what was trained.

    Returns:
        The model.

    Raises:
        FileNotFoundError: there is no such file.
        pyhooks.checkpoint.CheckpointError: the file is damaged.
        RuntimeError: the weights do not fit the model, as torch says it.
        ValueError: the checkpoint has no averages of that key.

    Example:
        >>> net = load_weights("runs/digits/best.safetensors", make_net(), averaged="EMA")     # doctest: +SKIP
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"load_weights got {kind(model)} as the model; wanted an nn.Module")
    snapshot = Snapshot(*checkpoint.load(path))
    states = snapshot.native_states()
    averages = {} if averaged is None else _averages(states, averaged, f"checkpoint {os.fspath(path)}")
    model.load_state_dict(snapshot.module_state("model"))
    _copy(averages, {**dict(model.named_parameters()), **dict(model.named_buffers())})
    return model


@torch.no_grad()
def _copy(values: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    for name in values.keys() & tensors.keys():
        tensors[name].copy_(values[name])


def _averages(states: Mapping[str, Mapping[str, Any]], key: str | None, where: str) -> dict[str, Tensor]:
    """The averages of that key, or the only ones, by the names of parameters and buffers."""
    found = {name: averages for name, state in states.items() if (averages := _averages_in(state))}
    if not found:
        raise ValueError(
            f"{where} has no averaged weights: callbacks as pyhooks.native.EMA() make them, from their first update on"
        )
    if key is None and len(found) > 1:
        raise ValueError(f"{where} has averaged weights of {_listed(found)}: name one of them")
    if key is not None and key not in found:
        raise ValueError(f"{where} has no averaged weights of {key!r}; it has those of {_listed(found)}")
    return next(iter(found.values())) if key is None else found[key]


def _averages_in(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "none"
