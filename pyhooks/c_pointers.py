"""Addresses of what other languages have made: functions of ctypes, cffi and numba, and data to hand to them."""

from __future__ import annotations

import ctypes
from _ctypes import CFuncPtr
from typing import Any

import numpy as np

from pyhooks.events import NATIVE_WAYS
from pyhooks.wording import kind


def function_address(pointer: object) -> int:
    """The address of a C function.

    Args:
        pointer: a function of a ``ctypes`` library, a ``cffi`` function pointer, an object with an ``address``
            (a numba ``cfunc``), or the address itself.

    Raises:
        TypeError: none of these, or a Python function that ctypes has made callable from C.
        ValueError: the address is null.

    Example:
        >>> function_address(ctypes.CDLL(None).abs) > 0
        True
    """
    address = _function_address(pointer)
    if address == 0:
        raise ValueError("the C function's address is null: the pointer was never set")
    return address


def _function_address(pointer: Any) -> int:
    if isinstance(pointer, CFuncPtr):
        if any(type(held).__name__ == "CThunkObject" for held in (pointer._objects or {}).values()):
            raise TypeError(
                f"the C function is a Python function behind a ctypes pointer: it would take the GIL at "
                f"each call. {NATIVE_WAYS}"
            )
        return ctypes.cast(pointer, ctypes.c_void_p).value or 0
    if isinstance(getattr(pointer, "address", None), int):
        return int(pointer.address)
    if isinstance(pointer, int | np.integer) and not isinstance(pointer, bool):
        return int(pointer)
    if isinstance(pointer, ctypes.c_void_p):
        return pointer.value or 0
    if _is_cffi(pointer):
        return _cffi_address(pointer)
    raise TypeError(
        f"the C function is {kind(pointer)}; wanted a ctypes function, a cffi pointer, a numba cfunc or an address"
    )


def data_address(data: Any) -> int:
    """The address of what a C function is handed as ``void* user``; 0 for None.

    Args:
        data: a ctypes object, a cffi pointer, a NumPy array (of which the elements' address is taken), an address,
            or None.

    Raises:
        TypeError: none of these.

    Example:
        >>> limit = ctypes.c_double(3.0)
        >>> data_address(limit) == ctypes.addressof(limit)
        True
    """
    if data is None:
        return 0
    if isinstance(data, ctypes.c_void_p | ctypes._Pointer):
        return ctypes.cast(data, ctypes.c_void_p).value or 0
    if isinstance(data, ctypes._SimpleCData | ctypes.Structure | ctypes.Union | ctypes.Array):
        return ctypes.addressof(data)
    if isinstance(data, np.ndarray):
        return int(data.ctypes.data)
    if isinstance(data, int | np.integer) and not isinstance(data, bool):
        return int(data)
    if _is_cffi(data):
        return _cffi_address(data)
    raise TypeError(
        f"user_data is {kind(data)}; wanted a ctypes object, a cffi pointer, a NumPy array, an address or None"
    )


def _is_cffi(value: object) -> bool:
    return type(value).__module__ == "_cffi_backend"


def _cffi_address(pointer: Any) -> int:
    import _cffi_backend

    return int(_cffi_backend.FFI().cast("intptr_t", pointer))
