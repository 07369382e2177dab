"""Is the torch (and the Python) that runs the one that pyhooks was compiled with?

Torch's C++ interface changes with every release. Loading a module compiled for another one ends in missing
symbols at best and in wrong numbers at worst, so ``pyhooks/__init__.py`` calls :func:`check` before it loads
``_C``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).resolve().parent


def check() -> None:
    """Raise ImportError if this build of pyhooks cannot run here; the message says what to do.

    Raises:
        ImportError: torch is missing, pyhooks was not built, or it was built with another torch or Python.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            "pyhooks needs PyTorch, and there is none in this environment. "
            "Install it, then pyhooks: pip install 'torch>=2.13,<2.15'"
        ) from None
    reason = problem(_build_info(), str(torch.__version__), f"{sys.version_info[0]}.{sys.version_info[1]}")
    if reason:
        raise ImportError(reason)


def problem(info: ModuleType | None, torch_version: str, python: str) -> str | None:
    """Say what is wrong with running a build in an environment; None if all is well.

    Args:
        info: the build's ``_build_info`` module; None if there is none.
        torch_version: ``torch.__version__`` of the environment.
        python: the environment's Python, as "3.11".

    Returns:
        What was built, what is there and the command that rebuilds, or None.
    """
    if info is None:
        return f"pyhooks was not built, {_PACKAGE} has Python files only. Build it:\n    {rebuild_command()}"
    if python != info.PYTHON:
        return _mismatch("Python", info.PYTHON, python)
    if torch_version != info.TORCH_VERSION:
        return _mismatch("torch", info.TORCH_VERSION, torch_version)
    return None


def rebuild_command() -> str:
    """The shell command that compiles pyhooks for the environment it runs in."""
    if (_PACKAGE.parent / "setup.py").is_file():
        return f"{sys.executable} -m pip install --no-build-isolation -e {_PACKAGE.parent}"
    return f"{sys.executable} -m pip install --force-reinstall --no-deps --no-cache-dir pyhooks-torch"


def _mismatch(what: str, built: str, here: str) -> str:
    return (
        f"this pyhooks was built with {what} {built}, but runs with {what} {here}: compiled code cannot be "
        f"carried from one to the other. Rebuild it for this environment with:\n    {rebuild_command()}\n"
        f"or go back to {what} {built}."
    )


def _build_info() -> ModuleType | None:
    """The module that the build wrote; None in a source tree that was never built."""
    name = f"{__package__}._build_info"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
