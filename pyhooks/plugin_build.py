"""Compiling a plugin's source when it is loaded: once, then it comes from the user's cache.

A library in the cache is found by a hash of all that it is made of: the source and its own headers, the flags,
pyhooks' headers, the compiler, torch, the machine. It is never written over: a process that has loaded one
keeps it, and another may build the next meanwhile.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from pyhooks import atomic, paths
from pyhooks.errors import PluginError
from pyhooks.warn import warn_user

SUFFIXES = (".cpp", ".cc", ".cxx")
"""What a plugin's source ends in."""


def cache_dir() -> Path:
    """Where built plugins are kept: ``$PYHOOKS_CACHE/plugins``; else below ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Everything in it may be deleted at any time; what is needed is built again.

    Example:
        >>> cache_dir().name
        'plugins'
    """
    named = os.environ.get("PYHOOKS_CACHE")
    return (Path(named) if named else _user_cache() / "pyhooks").expanduser().absolute() / "plugins"


def build(source: str | os.PathLike[str], flags: Sequence[str] = ()) -> Path:
    """The library of a plugin's source; compiled if it is not in the cache.

    Safe with several processes at once: one compiles, the others wait for it.

    Args:
        source: the ``.cpp`` file.
        flags: more flags for compiler and linker, as ``["-O3", "-I../include", "-lm"]``. Relative paths are relative
            to the source's folder. Default: none.

    Returns:
        The shared library.

    Raises:
        FileNotFoundError: there is no such source.
        PluginError: it does not compile (with the compiler's error), or there is no compiler or Ninja.

    Example:
        >>> build("my_hooks.cpp").suffix                           # doctest: +SKIP
        '.so'
    """
    path = Path(source).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"no such source: {path}")
    for _ in range(_TRIES):
        recipe = Recipe.of(path, flags)
        folder = _made(cache_dir() / f"{path.stem}-{recipe.key()}")
        library = _cached(recipe, folder)
        if library is None:
            with _locked(folder):
                library = _cached(recipe, folder) or _compile(recipe, folder)  # another process may have been quicker
        if library is not None:
            return library
    raise PluginError(f"{path}, or a header of it, kept changing while it was compiled")


class Recipe(NamedTuple):
    """How a source is compiled.

    Attributes:
        source: the absolute path.
        compiler: the command, as ``("ccache", "g++")``.
        version: what the compiler says of itself.
        flags: the user's.
    """

    source: Path
    compiler: tuple[str, ...]
    version: str
    flags: tuple[str, ...]

    @classmethod
    def of(cls, source: Path, flags: Sequence[str]) -> Recipe:
        """The recipe for this machine."""
        compiler = _compiler(source)
        return cls(source, compiler, _version(compiler), tuple(flags))

    def key(self) -> str:
        """Names all that goes in, but the headers of the user's own, which only the compiler knows."""
        parts = [*map(str, (self.source, torch.__version__, platform.machine(), self.version))]
        parts += [*self.commands(Path("object"), Path("depends"), Path("library"))]
        headers = sorted((paths.include_dir() / "pyhooks").iterdir())
        return _digest([self.source, *headers], parts)

    def commands(self, target: Path, depends: Path, library: Path) -> tuple[str, str]:
        """The shell commands that compile and link."""
        compiler = [*self.compiler, "-O2", "-DNDEBUG", "-Wall", *paths.compile_flags(torch=True), *self.flags]
        linked = [str(target), *paths.link_flags(torch=True), *self.flags, "-o", str(library)]
        compiled = ["-MD", "-MF", str(depends), "-c", str(self.source), "-o", str(target)]
        return shlex.join([*compiler, *compiled]), shlex.join([*self.compiler, *linked])


_TRIES = 3


def _cached(recipe: Recipe, folder: Path) -> Path | None:
    """The library that was built from the user's headers as they are now, if there is one."""
    try:
        depends = json.loads((folder / "depends.json").read_text())
        library = folder / f"{recipe.source.stem}-{_digest(map(Path, depends))}.so"
    except FileNotFoundError:
        return None
    return library if library.is_file() else None


def _compile(recipe: Recipe, folder: Path) -> Path | None:
    """Compile into the cache; None if a file changed meanwhile, so that nobody knows what was compiled."""
    started = time.time_ns()
    with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as name:
        made, depends = Path(name) / "plugin.so", Path(name) / "plugin.d"
        warnings = _run_ninja(recipe, Path(name), recipe.commands(Path(name) / "plugin.o", depends, made))
        own = _own_dependencies(depends.read_text(), recipe.source.parent)
        if any(started <= path.stat().st_mtime_ns <= time.time_ns() for path in own):
            return None
        library = folder / f"{recipe.source.stem}-{_digest(own)}.so"
        os.replace(made, library)
    with atomic.replacing(folder / "depends.json") as temporary:
        temporary.write_text(json.dumps([str(path) for path in own]))
    if warnings:
        warn_user(f"{recipe.source} compiles with warnings:\n{warnings}")
    return library


def _run_ninja(recipe: Recipe, folder: Path, commands: tuple[str, str]) -> str:
    """Run both commands, in the source's folder; return what the compiler had to say."""
    ninja = _ninja(recipe.source)
    compile_it, link_it = (command.replace("$", "$$") for command in commands)
    (folder / "build.ninja").write_text(f"""\
builddir = {_escaped(folder)}
rule compile
  command = {compile_it}
rule link
  command = {link_it}
build {_escaped(folder / "plugin.o")}: compile {_escaped(recipe.source)}
build {_escaped(folder / "plugin.so")}: link {_escaped(folder / "plugin.o")}
""")
    command = [ninja, "--quiet", "-f", str(folder / "build.ninja")]
    done = subprocess.run(command, cwd=recipe.source.parent, capture_output=True, text=True, errors="replace")
    said = _compilers_words(done.stdout + done.stderr, commands)
    if done.returncode:
        failed = commands[1] if (folder / "plugin.o").is_file() else commands[0]
        raise PluginError(f"{recipe.source} cannot be built:\n\n{said}\n\nThe command was:\n{failed}")
    return said


def _compilers_words(output: str, commands: Sequence[str]) -> str:
    """What Ninja printed, without what is Ninja's own."""
    lines = output.strip().splitlines()
    kept = [line for line in lines if not line.startswith(("ninja: ", "FAILED: ")) and line.strip() not in commands]
    return "\n".join(kept).strip()


def _own_dependencies(text: str, folder: Path) -> list[Path]:
    """The files that the compiler read, from its rule for make, but for torch's and pyhooks', which the key has."""
    names = re.findall(r"(?:\\[ #\\]|\$\$|[^\s\\])+", text.partition(": ")[2].replace("\\\n", " "))
    found = [folder / re.sub(r"\\([ #\\])|\$(\$)", r"\1\2", name) for name in names]
    foreign = (str(paths.include_dir()), str(Path(torch.__file__).resolve().parent))
    return sorted({path.resolve() for path in found if not str(path).startswith(foreign)})


def _compiler(source: Path) -> tuple[str, ...]:
    named = os.environ.get("CXX")
    if named:
        words = tuple(shlex.split(named))
        if not shutil.which(words[0]):
            raise PluginError(f"{source} cannot be built: CXX names the compiler {named!r}, which is not there")
        return words
    for name in ("c++", "g++", "clang++"):
        if found := shutil.which(name):
            return (found,)
    raise PluginError(
        f"{source} cannot be built: there is no C++ compiler. Install g++ 11 or newer (Debian, Ubuntu: apt-get install "
        "g++; conda: conda install -c conda-forge cxx-compiler), or name one in the environment variable CXX"
    )


@lru_cache
def _version(compiler: tuple[str, ...]) -> str:
    return subprocess.run([*compiler, "--version"], capture_output=True, text=True).stdout


def _ninja(source: Path) -> str:
    """Pip's Ninja, wherever it was put, else the system's."""
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("ninja") or ():
            if file.name == "ninja" and (found := Path(str(file.locate()))).is_file():
                return str(found.resolve())
    if named := shutil.which("ninja") or shutil.which("ninja-build"):
        return named
    raise PluginError(f"{source} cannot be built: there is no Ninja. Install it with: pip install ninja")


def _digest(files: Iterable[Path], parts: Sequence[str] = ()) -> str:
    """A name for the contents of files and for strings."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=10)
    for path in files:
        content = path.read_bytes()
        digest.update(json.dumps([str(path), len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


def _escaped(path: Path) -> str:
    """A path as Ninja writes it."""
    return re.sub(r"([$ :])", r"$\1", str(path))


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PluginError(
            f"the cache of built plugins cannot be written ({error}): name a folder in PYHOOKS_CACHE"
        ) from error
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes and threads out; the lock of a process that dies is gone with it."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
