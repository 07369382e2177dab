"""Where checkpoint files lie: a folder, or a place that fsspec reaches."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pyhooks.atomic import replacing


class Store(Protocol):
    """Files by name, in one place."""

    def path(self, name: str) -> str:
        """The file's whole path."""

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        """Have ``fill`` write a file at the path it is given; the file is there whole or not at all."""

    def alias(self, name: str, target: str) -> None:
        """Let ``name`` stand for another file here."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


class FolderStore:
    """A folder. An alias is a relative link, or a copy where the file system has no links.

    Args:
        folder: made with the first file.

    Example:
        >>> store = FolderStore(Path(tempfile.mkdtemp()))
        >>> store.write("a", lambda path: print(path.write_text("whole")))
        5
        >>> store.alias("last", "a")
        >>> Path(store.path("last")).read_text()
        'whole'
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> str:
        """The file's whole path."""
        return str(self._folder / name)

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        """Have ``fill`` write a file under another name, then rename it."""
        with replacing(self._folder / name) as temporary:
            fill(temporary)

    def alias(self, name: str, target: str) -> None:
        """Link ``name`` to ``target``, all at once: a reader sees the old file or the new one."""
        path = self._folder / name
        link = path.with_name(f".{name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
        try:
            link.symlink_to(target)
        except (OSError, NotImplementedError):
            self.write(name, lambda copy: _copy(self._folder / target, copy))
            return
        os.replace(link, path)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self._folder / name).unlink(missing_ok=True)


class RemoteStore:
    """What fsspec reaches by a URL, as "s3://bucket/run" or "memory://run". An alias is a copy.

    Args:
        url: the folder's URL.

    Raises:
        ImportError: what fsspec needs for the protocol is not installed (the message names it).
        ValueError: fsspec does not know the protocol.

    Example:
        >>> RemoteStore("memory://run").path("last.safetensors")
        'memory:///run/last.safetensors'
    """

    def __init__(self, url: str) -> None:
        import fsspec  # torch brings it

        self._files: Any
        self._files, self._folder = fsspec.core.url_to_fs(url)

    def path(self, name: str) -> str:
        """The file's URL."""
        return str(self._files.unstrip_protocol(f"{self._folder}/{name}"))

    def write(self, name: str, fill: Callable[[Path], None]) -> None:
        """Have ``fill`` write a local file, then put it there."""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "file"
            fill(local)
            self._files.makedirs(self._folder, exist_ok=True)
            self._files.put_file(str(local), f"{self._folder}/{name}")

    def alias(self, name: str, target: str) -> None:
        """Copy ``target``, there."""
        self._files.cp_file(f"{self._folder}/{target}", f"{self._folder}/{name}")

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(f"{self._folder}/{name}")


def store_at(place: str | os.PathLike[str]) -> Store:
    """The store at a folder's path or a URL."""
    text = os.fspath(place)
    return RemoteStore(text) if "://" in text else FolderStore(Path(text))


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
