"""Bringing tensor hooks to the tensors they are on.

PyTorch's own forward hooks and gradient hooks call the operators ``pyhooks::see`` and ``pyhooks::replace``. A trace
records these calls in the graph, eager code makes them: so all engines run the same. The hooks are on the model's
modules only while steps are computed; whoever looks at the model between epochs finds none.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pyhooks import _C
from pyhooks.tree import flatten, unflatten

_NO_TENSOR = {
    "output": "the model does not call these modules, or they return no floating-point tensor",
    "grad": "the model does not call these modules, or no gradient comes back to what they return (they are frozen, "
    "with all that is before them, or their output does not take part in the loss)",
    "param_grad": "these parameters are frozen (requires_grad=False)",
}


@dataclasses.dataclass(eq=False)
class Entry:
    """A tensor hook added to a trainer.

    Args:
        tap: its native side.
        pattern: a glob over module names, of ``on="param_grad"`` over parameter names.
        on: "output", "grad" or "param_grad".
        every: of how many batches it sees one.
        label: the hook's name in messages.
        names: what the pattern matched when it was added.
        number: its registration in the dispatcher.
        reached: the modules of which a tensor has come, or has been traced.
        reported: whether the user has been told of the others.
    """

    tap: _C.Tap
    pattern: str
    on: str
    every: int
    label: str
    names: list[str]
    number: int
    reached: set[str] = dataclasses.field(default_factory=set)
    reported: bool = False

    def __post_init__(self) -> None:
        self.site = functools.cache(self.tap.site)
        self.replaces = self.tap.replaces

    def unreached(self) -> list[str]:
        """The names of which no tensor has come."""
        reached = self.tap.sites if self.on == "param_grad" else self.reached
        return [name for name in self.names if name not in reached]

    def complaint(self) -> str:
        """Tell of them."""
        return (
            f"the tensor hook {self.label} on {self.pattern!r} has seen no tensor of {', '.join(self.unreached())} in "
            f"a whole epoch: {_NO_TENSOR[self.on]}"
        )


class Taps:
    """The tensor hooks of a trainer, and where in the model they are at work.

    Example:
        >>> taps = Taps()
        >>> with taps.watching([nn.Linear(1, 1)], "train"):
        ...     pass
    """

    def __init__(self, entries: list[Entry] | None = None, *, rehearses: bool = False) -> None:
        self.entries: list[Entry] = [] if entries is None else entries
        self._rehearses = rehearses
        self._roots: Sequence[nn.Module] = ()
        self._removers: list[RemovableHandle] = []
        self._pass = _Pass(rehearses)

    def rehearsal(self) -> Taps:
        """The same hooks for a copy of the model, on which tensors are replaced but nothing is seen or logged."""
        return Taps(self.entries, rehearses=True)

    @property
    def signature(self) -> tuple[Entry, ...]:
        """What captured plans have of them."""
        return tuple(entry for entry in self.entries if entry.on != "param_grad")

    @property
    def draws_random(self) -> bool:
        """Whether a hook may draw random numbers outside of the captured steps."""
        return any(entry.replaces and entry.on == "param_grad" for entry in self.entries)

    def cost(self, number: int) -> dict[str, Any]:
        """What a hook has cost: ``callback_stats`` of it; nothing if the registration is no tensor hook's."""
        return next((entry.tap.cost() for entry in self.entries if entry.number == number), {})

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """As if there were none, for the length of a block."""
        entries = list(self.entries)
        self.entries.clear()
        try:
            yield
        finally:
            self.entries[:] = entries

    @contextmanager
    def watching(self, roots: Sequence[nn.Module], mode: str) -> Iterator[None]:
        """Be there during a forward pass and, beyond the block, its backward pass; training passes only.

        Args:
            roots: the model, and the loss if it is a module.
            mode: the step's mode.
        """
        if mode != "train" or not self.signature:
            yield
            return
        if list(self._roots) != list(roots):
            self._install(roots)
        self._pass.close()
        self._pass = _Pass(self._rehearses)
        try:
            yield
        finally:
            self._pass.thread = None

    def close(self) -> None:
        """Take the hooks off the modules; the next training pass puts them on again."""
        for remover in self._removers:
            remover.remove()
        self._pass.close()
        self._roots, self._removers = (), []

    def end_epoch(self, steps: int) -> list[str]:
        """Take the hooks off the modules; say, once a hook, to which of them no tensor has come.

        Args:
            steps: optimizer steps made in the epoch.

        Returns:
            A sentence for each such hook.
        """
        self.close()
        entries = [entry for entry in self.entries if steps and not entry.reported]
        for entry in entries:
            entry.reported = True
        return [entry.complaint() for entry in entries if entry.unreached()]

    def _install(self, roots: Sequence[nn.Module]) -> None:
        _prepare_operators()
        self.close()
        modules = module_names(roots)
        found: dict[nn.Module, list[tuple[Entry, str]]] = {}
        for entry in self.signature:
            for module, name in matched_modules(entry.pattern, modules).items():
                found.setdefault(module, []).append((entry, name))
        for module, entries in found.items():
            self._removers.append(module.register_forward_hook(self._hook(entries)))
        self._roots = tuple(roots)

    def _hook(self, entries: list[tuple[Entry, str]]) -> Callable[[nn.Module, Any, Any], Any]:
        def forward_hook(module: nn.Module, args: Any, output: Any) -> Any:
            again = torch._C._current_autograd_node() is not None  # checkpointing computes it a second time
            if again or self._pass.thread == threading.get_ident():
                return self._pass.returned(entries, output, again)
            return None  # somebody else calls the module

        return forward_hook


class _Pass:
    """A forward pass and the backward pass that follows it."""

    def __init__(self, rehearses: bool) -> None:
        self.thread: int | None = threading.get_ident()  # None: the forward pass is done
        self._rehearses = rehearses
        self._calls: collections.Counter[tuple[Entry, str, bool]] = collections.Counter()
        self._with_grad: set[tuple[Entry, str]] = set()
        self._on_leaves: list[RemovableHandle] = []

    def close(self) -> None:
        """Take gradient hooks off tensors that outlive the pass."""
        for remover in self._on_leaves:
            remover.remove()
        self.thread, self._on_leaves = None, []

    def returned(self, entries: list[tuple[Entry, str]], output: Any, again: bool) -> Any:
        """What a module shall return in place of its output; None: just that."""
        tensors, tree = flatten(output)
        changed = False
        for entry, name in entries:
            self._calls[entry, name, again] += 1
            number = self._calls[entry, name, again]
            labels = tree.names(name if number == 1 else f"{name}#{number}")
            for i, label in enumerate(labels):
                if tensors[i].is_floating_point():
                    came = tensors[i]
                    tensors[i] = self._through(entry, name, label, came, again)
                    changed = changed or tensors[i] is not came
        if changed and tree.opaque():
            raise TypeError(
                f"{entries[0][1]} returns a {tree.opaque()[0]}, in which tensors cannot be replaced: return a tensor, "
                "or tuples, lists, dicts or dataclasses of tensors"
            )
        return unflatten(tensors, tree) if changed else None

    def _through(self, entry: Entry, name: str, label: str, tensor: Tensor, again: bool) -> Tensor:
        if entry.on == "grad":
            self._watch_grad(entry, name, label, tensor)
            return tensor
        entry.reached.add(name)
        if entry.replaces:
            replaced: Tensor = torch.ops.pyhooks.replace(tensor, entry.site(label), again or self._rehearses)
            return replaced
        if not again and not self._rehearses:
            torch.ops.pyhooks.see(tensor, entry.site(label))
        return tensor

    def _watch_grad(self, entry: Entry, name: str, label: str, tensor: Tensor) -> None:
        """Once a pass: in reentrant checkpointing only the recomputed tensor has a gradient, else only the first."""
        if not tensor.requires_grad or (entry, label) in self._with_grad:
            return
        self._with_grad.add((entry, label))
        rehearses = self._rehearses

        def replace(grad: Tensor) -> Tensor:
            entry.reached.add(name)
            replaced: Tensor = torch.ops.pyhooks.replace(grad, entry.site(label), rehearses)
            return replaced

        def see(grad: Tensor) -> None:
            entry.reached.add(name)
            if not rehearses:
                torch.ops.pyhooks.see(grad, entry.site(label))

        remover = tensor.register_hook(replace if entry.replaces else see)  # type: ignore[no-untyped-call]
        if tensor.is_leaf:
            self._on_leaves.append(remover)


def module_names(roots: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """The modules that hooks can be on, by name: "model" is the whole one, those of a loss begin with "loss"."""
    named = {name: part for name, part in roots[0].named_modules(remove_duplicate=False) if name}
    named.setdefault("model", roots[0])
    for root in roots[1:]:
        for name, part in root.named_modules(remove_duplicate=False):
            named.setdefault(f"loss.{name}" if name else "loss", part)
    return named


def matches(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a glob matches, in which ``*`` stands for dots too."""
    return [name for name in names if fnmatchcase(name, pattern)]


def matched_modules(pattern: str, modules: Mapping[str, nn.Module]) -> dict[nn.Module, str]:
    """The modules that a glob matches, each once, with the first of its names that does."""
    found: dict[nn.Module, str] = {}
    for name in matches(pattern, modules):
        found.setdefault(modules[name], name)
    return found


@functools.cache
def _prepare_operators() -> None:
    """What tracing and autograd must know of the two operators besides their kernels."""
    torch.fx.node.has_side_effect(torch.ops.pyhooks.see.default)
    torch.fx.node.has_side_effect(torch.ops.pyhooks.replace.default)
    torch.library.register_autograd("pyhooks::replace", lambda ctx, grad: (grad, None, None))
