"""The exceptions pyhooks raises for reasons of its own.

Exceptions of the user's code (a model, a loss, a callback) are never wrapped: they come out as they were raised.
"""

from __future__ import annotations

from collections.abc import Sequence


class PyhooksError(Exception):
    """Base of all exceptions that only pyhooks raises."""


class UserStepError(PyhooksError, ValueError):
    """The training step itself is wrong (say, a loss that is not a scalar), whichever engine would run it."""


class CallbackError(PyhooksError, RuntimeError):
    """A native callback failed; the message names callback, event, epoch and batch."""


class PluginError(PyhooksError, RuntimeError):
    """A plugin could not be built, or what was loaded is not one for this pyhooks; the message says what to do."""


class ExportError(PyhooksError, ValueError):
    """A trainer's step cannot be exported for programs without Python; the message says why."""


class TriggerError(PyhooksError, ValueError):
    """A trigger's expression or action is wrong; the message ends with the text and a caret under the character."""


class NativeFunctionError(PyhooksError, TypeError):
    """A function cannot be compiled to native code; the message says why and where."""


class CaptureError(PyhooksError, RuntimeError):
    """A training step could not be captured as a graph.

    Args:
        reason: what stood in the way, in one sentence.
        op: the operator that could not be captured, as ``aten::nonzero``, if there is one.
        source: the user's line, as ``model.py:12 in forward: if x.any():``, if it is known.
        ways_out: what the user can do, one sentence each.

    Example:
        >>> error = CaptureError("the loss leaves torch", source="loss.py:3 in match", ways_out=['engine="python"'])
        >>> print(error)
        the training step cannot be captured: the loss leaves torch
          at: loss.py:3 in match
          way out: engine="python"
    """

    def __init__(self, reason: str, *, op: str = "", source: str = "", ways_out: Sequence[str] = ()) -> None:
        self.reason = reason
        self.op = op
        self.source = source
        self.ways_out = tuple(ways_out)
        lines = [f"the training step cannot be captured: {reason}"]
        if op:
            lines.append(f"  op: {op}")
        if source:
            lines.append(f"  at: {source}")
        lines.extend(f"  way out: {way}" for way in self.ways_out)
        super().__init__("\n".join(lines))
