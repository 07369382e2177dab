"""Calls into Python objects that native objects may keep without keeping the Python objects alive."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A bound method that does not hold its object, which must outlive every call.

    The garbage collector does not see into native objects: one that held its owner would keep it forever.

    Args:
        method: bound.

    Example:
        >>> class Owner:
        ...     def name(self):
        ...         return "me"
        >>> owner = Owner()
        >>> weakly(owner.name)()
        'me'
    """
    reference = weakref.WeakMethod(method)

    def call(*args: Any) -> Any:
        bound = reference()
        assert bound is not None, "a native object called its owner, which is gone"
        return bound(*args)

    return call
