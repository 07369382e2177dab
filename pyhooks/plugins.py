"""Plugins: native callbacks of your own, in C++, built and loaded at run time.

A plugin is one source that includes ``<pyhooks/plugin.h>``, derives from ``pyhooks::Callback``, and ends with
``PYHOOKS_CALLBACK``, once for each class. :func:`load_plugin` takes the source, a library built from it, or the name of
an installed package's.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import keyword
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from pyhooks import _C, plugin_build
from pyhooks.errors import PluginError
from pyhooks.native import NativeCallback, NativeHook, OptionValue
from pyhooks.wording import kind

__all__ = ["Plugin", "PluginCallback", "installed", "load_plugin"]

GROUP = "pyhooks.plugins"
"""The entry point group by which a package names its plugins."""

_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}


class PluginCallback(NativeCallback):
    """Base of the classes that :func:`load_plugin` makes: one for each that the plugin registers.

    Raises:
        TypeError: an option that the class does not declare (the message names those it does), or a value without its
            name.
        ValueError: a value of another type than declared, or one that the C++ constructor refuses.
    """

    _native: ClassVar[_C.NativeClass]

    def __init__(self, /, *values: object, **options: OptionValue) -> None:
        _check_keywords(type(self), values, options)
        super().__init__(self._native.name, **options)

    def make(self) -> _C.Listener:
        """Make the C++ object, of this plugin's class even if a newer one has the same name."""
        return self._native.make(self.options)


class PluginHook(NativeHook):
    """Base of the tensor hooks among them, for :meth:`pyhooks.Trainer.add_hook`; raises as :class:`PluginCallback`."""

    _native: ClassVar[_C.NativeClass]

    def __init__(self, /, *values: object, **options: OptionValue) -> None:
        _check_keywords(type(self), values, options)
        super().__init__(self._native.name, **options)

    def make(self) -> _C.TensorHook:
        """Make the C++ object, of this plugin's class even if a newer one has the same name."""
        return self._native.make_hook(self.options)


class Plugin(ModuleType):
    """A loaded plugin: a namespace with its classes, by their C++ names. ``help(plugin)`` shows them.

    Args:
        name: stands before the classes' registry names, as "my_hooks/noise_scale".
        origin: the file it was loaded from.
        torch: version of torch that it was built with; "" if it needs none.
        classes: what its library registers.
    """

    def __init__(self, name: str, origin: Path, torch: str, classes: Sequence[_C.NativeClass]) -> None:
        super().__init__(name)
        self.__file__ = str(origin)
        self.__torch__ = torch
        self.__all__ = sorted(native.class_name for native in classes)
        self.__doc__ = f"The pyhooks plugin {name}.\n\n" + "\n".join(
            f"{native.class_name}: {native.help}" for native in classes
        )
        for native in classes:
            setattr(self, native.class_name, _class(name, native))

    def __getattr__(self, name: str) -> Any:
        message = f"the plugin {self.__name__} has no class {name!r}"
        if not name.startswith("__"):
            message += f"{_near(name, self.__all__)} It has: {', '.join(self.__all__)}"
        raise AttributeError(message)

    def __dir__(self) -> list[str]:
        return list(self.__all__)

    def __repr__(self) -> str:
        return f"<plugin {self.__name__} from {self.__file__}: {', '.join(self.__all__)}>"


def load_plugin(source: str | os.PathLike[str], *, flags: Sequence[str] = ()) -> Plugin:
    """Load a plugin; compile it first if it is a source.

    What was compiled stays in a cache (:func:`pyhooks.plugin_build.cache_dir`) and is compiled again when it changes.
    Loading the same twice gives the same classes. Loading it after a change gives new ones, while objects of the old
    ones go on working: a library is never unloaded.

    Args:
        source: a source, as ``"my_hooks.cpp"``; a library, as ``"build/libmy_hooks.so"``; or the name under which an
            installed package offers a plugin (see :func:`installed`).
        flags: of a source: more flags for compiler and linker, as ``["-O3", "-I../include", "-lm"]``, relative to the
            source's folder. Torch's headers and libraries are there already. Default: none.

    Returns:
        A namespace of the plugin's classes. They take the options that the plugin declares, by name.

    Raises:
        FileNotFoundError: there is no such file.
        PluginError: it does not compile (with the compiler's error), is not a plugin, was built for another pyhooks
            or torch (with both versions), or no package offers one of that name.

    Example:
        >>> hooks = load_plugin("noise_scale.cpp")                     # doctest: +SKIP
        >>> trainer.add_callback(hooks.NoiseScale(beta=0.9))           # doctest: +SKIP
    """
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"load_plugin got {kind(source)}; wanted a path, or the name of an installed plugin")
    text = os.fspath(source)
    if _is_file_name(text):
        return _load_file(Path(text), flags)
    if flags:
        raise TypeError(f"flags are for a plugin's source, one that is compiled; {text!r} is an installed plugin")
    return _load_file(_installed_file(text), (), name=text)


def installed() -> dict[str, str]:
    """The plugins that installed packages offer: the name to load one by, and the package.

    A package offers one by an entry point that names a path, a ``str`` or ``Path``, or a function that returns one::

        [project.entry-points."pyhooks.plugins"]
        my_hooks = "my_package:plugin_file"

    Example:
        >>> installed()                                                # doctest: +SKIP
        {'my_hooks': 'my-package 1.0'}
    """
    found: dict[str, list[str]] = {}
    for entry in metadata.entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(_package(entry))
    return {name: ", ".join(dict.fromkeys(packages)) for name, packages in sorted(found.items())}


_lock = threading.RLock()
_loaded: dict[tuple[str, Path, str], Plugin] = {}
_in_place: dict[Path, str] = {}  # what of a file is loaded under its own name: its digest


def _is_file_name(text: str) -> bool:
    return os.sep in text or text.endswith(plugin_build.SUFFIXES) or ".so" in Path(text).suffixes


def _load_file(path: Path, flags: Sequence[str], name: str = "") -> Plugin:
    path, named = path.expanduser().resolve(), path
    if not path.is_file():
        raise FileNotFoundError(f"no such plugin file: {path}")
    if path.suffix in plugin_build.SUFFIXES:
        return _load_library(plugin_build.build(path, flags), path, name or named.stem)
    if ".so" not in path.suffixes:
        sources = ", ".join(plugin_build.SUFFIXES)
        raise PluginError(f"{path} is neither a source ({sources}) nor a shared library (.so): it cannot be a plugin")
    if flags:
        raise TypeError(f"flags are for a plugin's source, one that is compiled; {path} is built already")
    return _load_library(path, path, name or named.name.partition(".so")[0].removeprefix("lib"))


def _load_library(library: Path, origin: Path, name: str) -> Plugin:
    digest = hashlib.blake2b(library.read_bytes()).hexdigest()
    with _lock:
        plugin = _loaded.get((name, library, digest))
        if plugin is None:
            with _under_a_fresh_name(library, digest) as file:
                torch, classes = _C.load_plugin(str(file), name)
            plugin = _loaded[name, library, digest] = Plugin(name, origin, torch, classes)
        return plugin


@contextmanager
def _under_a_fresh_name(library: Path, digest: str) -> Iterator[Path]:
    """The library; if another content was loaded from this path before, a copy, lest the system answers with that."""
    if _in_place.setdefault(library, digest) == digest:
        yield library
        return
    folder = library.parent if os.access(library.parent, os.W_OK) else None  # there it finds what it links to
    handle, copy = tempfile.mkstemp(dir=folder, prefix=".", suffix=f"-{library.name}")
    os.close(handle)
    try:
        shutil.copyfile(library, copy)
        yield Path(copy)
    finally:
        os.unlink(copy)  # what is loaded stays


def _installed_file(name: str) -> Path:
    entries = {entry.value: entry for entry in metadata.entry_points(group=GROUP, name=name)}
    if not entries:
        known = installed()
        offered = f"Installed packages offer: {', '.join(known)}" if known else "No installed package offers one"
        raise PluginError(
            f"no plugin {name!r}{_near(name, known)} {offered}. A plugin of your own is loaded by its file, as "
            "load_plugin('my_hooks.cpp') or load_plugin('libmy_hooks.so')"
        )
    if len(entries) > 1:
        packages = " and ".join(_package(entry) for entry in entries.values())
        raise PluginError(f"{packages} both offer a plugin {name!r}: uninstall one, or load it by its file")
    [entry] = entries.values()
    target = entry.load()
    target = target() if callable(target) else target
    if not isinstance(target, str | os.PathLike):
        raise PluginError(
            f"the entry point {name!r} of {_package(entry)} ({entry.value}) is {kind(target)}; it must be the path of "
            "a source or library, or a function that returns one"
        )
    return Path(target)


def _package(entry: metadata.EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _class(plugin: str, native: _C.NativeClass) -> type[PluginCallback] | type[PluginHook]:
    """The Python class of a native one."""
    bases: dict[str, type[PluginCallback] | type[PluginHook]] = {"callback": PluginCallback, "tensor_hook": PluginHook}
    if native.kind not in bases:
        raise PluginError(f"the plugin {plugin} registers a {native.kind}, {native.class_name}: that is unknown here")
    body = {
        "_native": native,
        "__module__": plugin,
        "__doc__": _documentation(native),
        "__signature__": inspect.Signature([_parameter(*option) for option in native.options]),
    }
    return type(native.class_name, (bases[native.kind],), body)


def _parameter(name: str, type_name: str, default: OptionValue, _: str) -> inspect.Parameter:
    if keyword.iskeyword(name):
        raise PluginError(f"an option is called {name!r}, which no keyword argument can be: give it another name")
    annotation: Any = _TYPES[type_name] | None if default is None else _TYPES[type_name]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _documentation(native: _C.NativeClass) -> str:
    lines = [native.help, "", f"A native callback, registered as {native.name!r}."]
    if native.options:
        lines += ["", "Args:"]
    for name, type_name, default, what in native.options:
        lines.append(f"    {name} ({type_name}): {what.rstrip('.')}. Default: {default!r}.")
    return "\n".join(lines)


def _check_keywords(
    cls: type[PluginCallback] | type[PluginHook], values: Sequence[object], options: dict[str, OptionValue]
) -> None:
    declared = {name: default for name, _, default, _ in cls._native.options}
    known = ", ".join(f"{name}={default!r}" for name, default in declared.items()) or "none"
    if values:
        raise TypeError(f"{cls.__name__} takes its options by name; got {values[0]!r} without one. They are: {known}")
    for name in options:
        if name not in declared:
            raise TypeError(f"{cls.__name__} has no option {name!r}{_near(name, declared)} Its options: {known}")


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."
