"""What the tracer tells about a node while it is made: the user's line, real tensors taken as constants."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import PythonKeyTracer
from torch.utils._python_dispatch import _disable_current_modes

SOURCE = "pyhooks_source"
_PYHOOKS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NOT_USER = (os.path.dirname(torch.__file__) + os.sep, _PYHOOKS, "<")
_STEP = _PYHOOKS + "step.py"


def describe(filename: str, line: int, function: str) -> str:
    """Name a line, as ``net.py:12 in forward: return self.fc(x)``."""
    code = linecache.getline(filename, line).strip()
    return f"{os.path.basename(filename)}:{line} in {function}" + (f": {code}" if code else "")


def of_exception(traceback: TracebackType | None) -> str:
    """The innermost line of the user's code in a traceback, below pyhooks' step; ``""`` if there is none."""
    found, in_step = "", False
    while traceback is not None:
        code = traceback.tb_frame.f_code
        in_step = in_step or code.co_filename == _STEP
        if in_step and not code.co_filename.startswith(_NOT_USER):
            found = describe(code.co_filename, traceback.tb_lineno, code.co_name)
        traceback = traceback.tb_next
    return found


class Recorder:
    """Watches ``make_fx`` make nodes.

    Every operator's node gets the user's line in ``meta["pyhooks_source"]``; a node of the backward pass that
    of the forward operation it belongs to (they share autograd's sequence number).

    Every real tensor that becomes a constant of the graph is copied: an in-place operator on it changes the
    real one even though the trace is fake. :meth:`restore` undoes that.
    """

    def __init__(self) -> None:
        self._forward: dict[int, str] = {}
        self._lines: dict[tuple[str, int], str] = {}
        self._constants: dict[int, tuple[Tensor, int, Tensor]] = {}

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Watch while the block runs."""
        original = PythonKeyTracer.create_node
        recorder = self

        def create_node(self: Any, *args: Any, **kwargs: Any) -> torch.fx.Node:
            node = original(self, *args, **kwargs)
            if node.op == "call_function":
                node.meta[SOURCE] = recorder._source()
            elif node.op == "get_attr":
                recorder._save(getattr(self.root, str(node.target)))
            return node

        PythonKeyTracer.create_node = create_node  # type: ignore[method-assign]
        try:
            yield
        finally:
            PythonKeyTracer.create_node = original  # type: ignore[method-assign]

    def restore(self) -> None:
        """Undo what the trace did to real tensors."""
        for tensor, version, copy in self._constants.values():
            if tensor._version != version:
                tensor.data.copy_(copy)

    def _save(self, value: Any) -> None:
        if isinstance(value, Tensor) and id(value) not in self._constants:
            with _disable_current_modes(), torch.no_grad():
                self._constants[id(value)] = (value, value._version, value.detach().clone())

    def _source(self) -> str:
        running: Any = torch._C._current_autograd_node()  # None in the forward pass, whatever the stub says
        if running is not None:
            line = self._forward.get(running._sequence_nr(), "")
            return f"backward of {line}" if line else ""
        line = self._user_line(sys._getframe(2))
        if line:
            self._forward.setdefault(torch.autograd._get_sequence_nr() - 1, line)  # type: ignore[attr-defined]
        return line

    def _user_line(self, frame: FrameType | None) -> str:
        """The innermost frame outside torch and pyhooks, inside the step."""
        found: FrameType | None = None
        while frame is not None and frame.f_code.co_filename != _STEP:
            if found is None and not frame.f_code.co_filename.startswith(_NOT_USER):
                found = frame
            frame = frame.f_back
        if frame is None or found is None:
            return ""
        key = (found.f_code.co_filename, found.f_lineno)
        if key not in self._lines:
            self._lines[key] = describe(*key, found.f_code.co_name)
        return self._lines[key]
