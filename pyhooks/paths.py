"""What C++ needs of the installed package: headers, the core library, the CMake package, and the flags to use."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

cmake_prefix_path = str(_PACKAGE)
"""What to add to ``CMAKE_PREFIX_PATH``, so that ``find_package(pyhooks)`` finds this package."""


def get_include() -> str:
    """The folder to compile plugins with (``-I``), as ``numpy.get_include()``.

    Example:
        >>> get_include() == str(include_dir())
        True
    """
    return str(include_dir())


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


def compile_flags(*, torch: bool = False) -> list[str]:
    """Flags that compile a plugin's source.

    Args:
        torch: with torch's headers, for a plugin that looks into tensors. Default: without.

    Returns:
        The flags, unquoted. Nothing but the plugin's entry is exported, so that two plugins' classes of one name
        never meet.

    Example:
        >>> compile_flags()[0]
        '-std=c++20'
    """
    flags = ["-std=c++20", "-fPIC", "-fvisibility=hidden", f"-I{include_dir()}"]
    if torch:
        headers = _torch_dir() / "include"
        flags += ["-isystem", str(headers), "-isystem", str(headers / "torch/csrc/api/include")]
    return flags


def link_flags(*, torch: bool = False) -> list[str]:
    """Flags that link a plugin's objects, to follow them. Libraries it does not use leave no trace in it.

    Args:
        torch: with torch's libraries. Default: without; a plugin never links against pyhooks itself.

    Example:
        >>> link_flags()
        ['-shared']
    """
    if not torch:
        return ["-shared"]
    libraries = _torch_dir() / "lib"
    return ["-shared", f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-Wl,--as-needed", "-lc10", "-ltorch_cpu"]


def _torch_dir() -> Path:
    import torch

    return Path(torch.__file__).resolve().parent


def _existing(name: str) -> Path:
    folder = _PACKAGE / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"this pyhooks has no {name} folder ({folder}): it was not built. "
            "Install it, or in a source tree run: pip install --no-build-isolation -e ."
        )
    return folder
