"""Turning a training step into a graph: a flat list of ATen operators that C++ runs without Python."""

from pyhooks.capture.program import Captured, Op, Program, Reg
from pyhooks.capture.recipe import capture
from pyhooks.capture.verify import Verifier

__all__ = ["Captured", "Op", "Program", "Reg", "Verifier", "capture"]
