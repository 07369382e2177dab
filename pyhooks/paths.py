"""Where the installed package keeps what C++ needs: headers, the core library, the CMake package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def include_dir() -> Path:
    """Folder to compile with (``-I``): it holds ``pyhooks/callback.h`` and the other public headers.

    Example:
        >>> (include_dir() / "pyhooks" / "callback.h").is_file()
        True
    """
    return _existing("include")


def library_dir() -> Path:
    """Folder of the core library, ``libpyhooks.so``.

    Example:
        >>> (library_dir() / "libpyhooks.so").is_file()
        True
    """
    return _existing("lib")


def cmake_dir() -> Path:
    """Folder to give to CMake as ``pyhooks_DIR``, for ``find_package(pyhooks)``.

    Example:
        >>> (cmake_dir() / "pyhooksConfig.cmake").is_file()
        True
    """
    return _existing("share/cmake/pyhooks")


def _existing(name: str) -> Path:
    folder = _PACKAGE / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"this pyhooks has no {name} folder ({folder}): it was not built. "
            "Install it, or in a source tree run: pip install --no-build-isolation -e ."
        )
    return folder
