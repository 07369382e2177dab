"""The Python state behind a step: attributes of modules and helper objects, and random number generators.

Tracing runs the user's code once. What that run leaves behind in Python objects must not stay, and what it
changed tells whether the step keeps state that a graph cannot see.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import random
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_MAX_ITEMS = 1000
_MAX_PLACES = 50_000
_SCALARS = (bool, int, float, complex, str, bytes)
_MODULE_INTERNALS = frozenset(
    name for name in nn.Module().__dict__ if name not in ("_parameters", "_buffers", "_modules")
)
_FOREIGN = frozenset(sys.stdlib_module_names) | {
    "torch",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
    "rich",
}


@dataclasses.dataclass
class Place:
    """A mutable container of the step's state, and what it held.

    Args:
        name: how a reader finds it, as ``Net.memory``.
        container: the object's ``__dict__``, or a list, dict, deque or set that it holds.
        before: its items as they were: key and value, or index and value.
        owner: whether the container is an object's ``__dict__``, so that keys are attribute names.
    """

    name: str
    container: Any
    before: list[tuple[Any, Any]]
    owner: bool

    def label(self, key: Any) -> str:
        """Name one entry."""
        return f"{self.name}.{key}" if self.owner else f"{self.name}[{key!r}]"

    def set(self, key: Any, value: Any) -> None:
        """Change one entry."""
        if isinstance(self.container, set):
            return
        if isinstance(self.container, dict) or key < len(self.container):
            self.container[key] = value

    def restore(self) -> None:
        """Put back what the container held, if it holds anything else."""
        if not _same(self.before, items(self.container)):
            fill(self.container, self.before)


class PythonState:
    """All mutable Python containers reachable from some roots.

    Args:
        roots: modules, callables or plain objects. Modules, lists, dicts, closures, bound methods and the
            user's own objects are looked into; torch's, NumPy's and the standard library's objects are not.

    Example:
        >>> state = PythonState([nn.Linear(2, 2)])
        >>> state.changed_scalars()
        {}
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.places: list[Place] = []
        self.private_rngs: list[Any] = []
        self._seen: set[int] = set()
        self._keep: list[Any] = []
        for root in roots:
            self._visit(root, type(root).__name__)

    def tensors(self) -> Iterator[tuple[Place, Any, Tensor]]:
        """Every tensor that the containers held: its place, its key there, and itself."""
        for place in self.places:
            for key, value in place.before:
                if isinstance(value, Tensor):
                    yield place, key, value

    def replace(self, by_id: Mapping[int, Tensor]) -> None:
        """Put other tensors where tensors of the given ids are; :meth:`restore` undoes it."""
        for place in self.places:
            if any(id(value) in by_id for _, value in place.before if isinstance(value, Tensor)):
                fill(place.container, [(key, by_id.get(id(value), value)) for key, value in place.before])

    def changed_scalars(self) -> dict[str, tuple[Place, Any, Any]]:
        """Numbers, flags and strings that differ from before: name -> place, key, new value."""
        changed: dict[str, tuple[Place, Any, Any]] = {}
        for place in self.places:
            before = dict(place.before)
            for key, now in items(place.container):
                if isinstance(now, Tensor) or (not place.owner and key not in before):
                    continue
                if _scalar_differs(before.get(key), now):
                    changed[place.label(key)] = (place, key, now)
        return changed

    def restore(self) -> None:
        """Put everything back as it was found."""
        for place in self.places:
            place.restore()

    def _visit(self, value: Any, name: str) -> None:
        if isinstance(value, (Tensor, type, types.ModuleType, *_SCALARS, type(None))) or id(value) in self._seen:
            return
        if len(self.places) >= _MAX_PLACES:
            return
        self._seen.add(id(value))
        self._keep.append(value)
        if isinstance(value, random.Random) or type(value).__module__.startswith("numpy.random"):
            self.private_rngs.append(value)
        elif isinstance(value, nn.Module):
            self._visit_object(value, type(value).__name__, skip=_MODULE_INTERNALS)
        elif isinstance(value, (dict, list, collections.deque, set)):
            self._visit_container(value, name, owner=False)
        elif isinstance(value, (tuple, frozenset)):
            for item in list(value)[:_MAX_ITEMS]:
                self._visit(item, name)
        else:
            self._visit_callable_or_object(value, name)

    def _visit_callable_or_object(self, value: Any, name: str) -> None:
        if isinstance(value, types.MethodType):
            self._visit(value.__self__, type(value.__self__).__name__)
        elif isinstance(value, functools.partial):
            for item in (value.func, *value.args, *value.keywords.values()):
                self._visit(item, name)
        elif isinstance(value, types.FunctionType):
            for cell in value.__closure__ or ():
                with contextlib.suppress(ValueError):  # an empty cell
                    self._visit(cell.cell_contents, f"{value.__name__}'s closure")
        elif hasattr(value, "__dict__") and type(value).__module__.partition(".")[0] not in _FOREIGN:
            self._visit_object(value, type(value).__name__, skip=frozenset())

    def _visit_object(self, value: Any, name: str, skip: frozenset[str]) -> None:
        self._visit_container(value.__dict__, name, owner=True, skip=skip)

    def _visit_container(self, container: Any, name: str, *, owner: bool, skip: frozenset[str] = frozenset()) -> None:
        before = items(container)
        if not owner and len(before) > _MAX_ITEMS:
            return
        self._seen.add(id(container))
        place = Place(name, container, before, owner)
        self.places.append(place)
        for key, value in before:
            if key in ("_parameters", "_buffers", "_modules") and owner:
                self._visit_registry(value, name)
            elif key not in skip:
                self._visit(value, place.label(key))

    def _visit_registry(self, registry: dict[str, Any], name: str) -> None:
        """One of a module's own dicts: its keys are the module's attributes."""
        if id(registry) not in self._seen:
            self._visit_container(registry, name, owner=True)


def items(container: Any) -> list[tuple[Any, Any]]:
    """The entries of a dict, list, deque or set, as pairs."""
    if isinstance(container, dict):
        return list(container.items())
    return list(enumerate(container))


def fill(container: Any, entries: list[tuple[Any, Any]]) -> None:
    """Make a container hold exactly these entries."""
    container.clear()
    if isinstance(container, dict):
        container.update(entries)
    elif isinstance(container, set):
        container.update(value for _, value in entries)
    else:
        container.extend(value for _, value in entries)


@contextlib.contextmanager
def watched_generators(private: Iterable[Any] = ()) -> Iterator[list[str]]:
    """Give every host-side generator a state of our own, and tell afterwards which ones the block moved.

    A state of our own, because a block that seeds a generator as it is already seeded would go unnoticed.

    Args:
        private: ``random.Random`` and NumPy generators that the step holds.

    Yields:
        A list, filled when the block ends, with the names of the generators that moved. All are restored,
        also after an exception.
    """
    watches = [_watch_torch(), _watch_python(), *_watch_numpy(), *(_watch_private(rng) for rng in private)]
    moved: list[str] = []
    for watch in watches:
        watch.prepare()
    try:
        yield moved
    finally:
        moved.extend(watch.name for watch in watches if watch.moved())
        for watch in watches:
            watch.restore()


class _Watch:
    """One generator: how to read and set its state, and how to seed it."""

    def __init__(self, name: str, get: Any, put: Any, seed: Any = None) -> None:
        self.name, self._get, self._put, self._seed = name, get, put, seed
        self._original = get()
        self._start = self._original

    def prepare(self) -> None:
        if self._seed is not None:
            self._seed(1_640_531_527)
            self._start = self._get()

    def moved(self) -> bool:
        return not _equal_states(self._get(), self._start)

    def restore(self) -> None:
        self._put(self._original)


def _watch_torch() -> _Watch:
    rng = torch.default_generator
    return _Watch("torch's default generator", rng.get_state, rng.set_state, rng.manual_seed)


def _watch_python() -> _Watch:
    return _Watch("Python's random", random.getstate, random.setstate, random.seed)


def _watch_numpy() -> list[_Watch]:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return []
    rng = numpy.random
    return [_Watch("numpy.random", lambda: rng.get_state(legacy=False), rng.set_state, rng.seed)]


def _watch_private(rng: Any) -> _Watch:
    if isinstance(rng, random.Random):
        return _Watch("a random.Random", rng.getstate, rng.setstate)
    bits = getattr(rng, "bit_generator", None) or getattr(rng, "_bit_generator", rng)
    return _Watch("a private NumPy generator", lambda: bits.state, lambda state: setattr(bits, "state", state))


def _equal_states(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return all(_equal_states(a[key], b[key]) for key in a)
    same = a == b
    return bool(same) if isinstance(same, bool) else bool(same.all())


def _same(a: list[tuple[Any, Any]], b: list[tuple[Any, Any]]) -> bool:
    return len(a) == len(b) and all(x[0] is y[0] and x[1] is y[1] for x, y in zip(a, b, strict=True))


def _scalar_differs(before: Any, now: Any) -> bool:
    symbolic = isinstance(now, (torch.SymInt, torch.SymFloat, torch.SymBool))
    if not (symbolic or isinstance(now, _SCALARS) or isinstance(before, _SCALARS)):
        return False
    if now is before:
        return False
    return symbolic or type(now) is not type(before) or (now != before and not (now != now and before != before))
