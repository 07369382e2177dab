"""Find the PyTorch to build against, without importing it.

A build in isolation (plain ``pip install .``) runs in an environment of its own, without torch. Downloading
a second torch there would take gigabytes and could be another version than the one pyhooks will run with, so
this looks where the *target* environment keeps its packages and only reads files. Used by setup.py and by
cmake/find_torch.cmake.

Run as a program it prints ``root;version;cuda``, the three things CMake wants to know::

    python cmake/locate_torch.py [folder of the torch package]
"""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# The same range as pyproject.toml's dependency; tests/test_build.py compares the two.
OLDEST = (2, 13)
BELOW = (2, 15)
WANTED = f">={OLDEST[0]}.{OLDEST[1]},<{BELOW[0]}.{BELOW[1]}"


class TorchNotFound(Exception):
    """No torch that pyhooks can be built against; the message says what to do."""


class Torch(NamedTuple):
    """What the build needs to know of a torch package.

    Attributes:
        root: the package's folder, with ``lib`` and ``include`` in it.
        version: as in ``torch.__version__``.
        cuda: version of the CUDA toolkit it was built with; "" for a CPU build.
    """

    root: Path
    version: str
    cuda: str


def candidates() -> Iterator[Path]:
    """Package folders that may hold the target environment's torch, best first."""
    yield from (Path(entry) for entry in sys.path if entry)
    yield from (Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
    if venv := os.environ.get("VIRTUAL_ENV"):
        yield Path(sysconfig.get_path("purelib", vars={"base": venv, "platbase": venv}))
    # A virtual environment on top of system packages, and a user's own packages.
    yield Path(sysconfig.get_path("purelib", vars={"base": sys.base_prefix, "platbase": sys.base_prefix}))
    yield Path(site.getusersitepackages())


def read(root: Path) -> Torch:
    """Read version and kind of the torch package in ``root``.

    Raises:
        TorchNotFound: the folder has no headers or libraries, or the version is out of range.
    """
    text = (root / "version.py").read_text(encoding="utf-8")
    version = _assigned(text, "__version__")
    for needed in ("lib/libtorch_cpu.so", "include/ATen/ATen.h"):
        if not (root / needed).exists():
            raise TorchNotFound(
                f"the torch {version} in {root} has no {needed}: pyhooks needs an official wheel.\n"
                f"Install one with: pip install 'torch{WANTED}'"
            )
    number = tuple(int(part) for part in version.split(".")[:2])
    if not OLDEST <= number < BELOW:
        raise TorchNotFound(
            f"found torch {version} in {root}, but pyhooks builds against torch {WANTED}.\n"
            f"Install one with: pip install 'torch{WANTED}'"
        )
    return Torch(root, version, _assigned(text, "cuda"))


def locate() -> Torch:
    """Find the target environment's torch; ``PYHOOKS_TORCH_ROOT`` names the package's folder outright.

    Raises:
        TorchNotFound: there is none, or it is not one that pyhooks can be built against.
    """
    if named := os.environ.get("PYHOOKS_TORCH_ROOT"):
        if not (Path(named) / "version.py").is_file():
            raise TorchNotFound(f"PYHOOKS_TORCH_ROOT is {named}, which holds no torch package (no version.py there)")
        return read(Path(named))
    folders = list(dict.fromkeys(candidates()))
    for folder in folders:
        if (folder / "torch" / "version.py").is_file():
            return read(folder / "torch")
    looked = "\n".join(f"  {folder}" for folder in folders if folder.is_dir())
    raise TorchNotFound(
        f"pyhooks is compiled against the torch it will run with, and there is none for {sys.executable}.\n"
        f"Install it first:   pip install 'torch{WANTED}'\n"
        f"then try again, or name its package folder in PYHOOKS_TORCH_ROOT. Looked in:\n{looked}"
    )


def _assigned(text: str, name: str) -> str:
    """Value of the string variable ``name`` in the source ``text``; "" if it is None."""
    found = re.search(rf"^{name}(?:\s*:[^=]+)?\s*=\s*'([^']*)'", text, re.MULTILINE)
    return found.group(1) if found else ""


def main() -> int:
    """Print the torch found as a CMake list; on failure say why and return 1."""
    try:
        torch = read(Path(sys.argv[1])) if len(sys.argv) > 1 else locate()
    except (TorchNotFound, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{torch.root.as_posix()};{torch.version};{torch.cuda}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
