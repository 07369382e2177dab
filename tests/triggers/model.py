"""What an expression means, in Python: its ``eval``, on float64, with windows over plain lists."""

from __future__ import annotations

import ast
import math
from types import CodeType
from typing import Any

import numpy as np

WINDOWS = ("ema", "min", "max", "mean", "std")


def number(value: Any) -> np.float64:
    return np.float64(value)


FUNCTIONS: dict[str, Any] = {
    "number": number,
    "abs": abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
    "min": min,
    "max": max,
    "isfinite": lambda x: number(math.isfinite(x)),
    "isnan": lambda x: number(math.isnan(x)),
}


class Window:
    """A statistic of the finite values so far: of the last n, or (ema) of all, weighing less the older they are."""

    def __init__(self, kind: str, n: int, code: CodeType) -> None:
        self.kind, self.n, self.code = kind, n, code
        self.values: list[float] = []

    @property
    def statistic(self) -> np.float64:
        if not self.values or (self.kind == "std" and len(self.values[-self.n :]) < 2):
            return number(math.nan)
        return number(getattr(self, f"_{self.kind}")(self.values[-self.n :]))

    def _ema(self, _: list[float]) -> float:
        weights = [(1 - 2 / (self.n + 1)) ** age for age in range(len(self.values))]
        pairs = zip(weights, reversed(self.values), strict=True)
        return math.fsum(weight * value for weight, value in pairs) / math.fsum(weights)

    def _min(self, last: list[float]) -> float:
        return min(last)

    def _max(self, last: list[float]) -> float:
        return max(last)

    def _mean(self, last: list[float]) -> float:
        return math.fsum(last) / len(last)

    def _std(self, last: list[float]) -> float:
        mean = self._mean(last)
        return math.sqrt(math.fsum((value - mean) ** 2 for value in last) / (len(last) - 1))


class Model(ast.NodeTransformer):
    """An expression; ``holds(names)`` for batch after batch says whether it holds."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.windows: dict[str, Window] = {}
        self.texts: dict[str, str] = {}
        self.batches = 0
        self.code = self._compiled(self.visit(ast.parse(text, mode="eval").body))

    def holds(self, names: dict[str, float]) -> bool:
        self.batches += 1
        scope = {name: number(value) for name, value in names.items()}
        scope |= {name: window.statistic for name, window in self.windows.items()}
        scope["every"] = lambda n: number(self.batches % n == 0)
        with np.errstate(all="ignore"):
            result = bool(eval(self.code, FUNCTIONS, scope))
            arguments = [eval(window.code, FUNCTIONS, scope) for window in self.windows.values()]
        self.values = {**names, **{self.texts[name]: scope[name] for name in self.windows}}
        for window, argument in zip(self.windows.values(), arguments, strict=True):
            if math.isfinite(argument):
                window.values.append(float(argument))
        return result

    def visit_Call(self, node: ast.Call) -> ast.AST:
        text = ast.get_source_segment(self.text, node) or ""
        assert isinstance(node.func, ast.Name)
        length = node.args[-1]
        if node.func.id not in WINDOWS or not (isinstance(length, ast.Constant) and isinstance(length.value, int)):
            return self.generic_visit(node)
        code = self._compiled(self.visit(node.args[0]))  # inner windows first
        name = f"window{len(self.windows)}"
        self.windows[name] = Window(node.func.id, length.value, code)
        self.texts[name] = text
        return ast.Name(name, ast.Load())

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return _as_number(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        return _as_number(self.generic_visit(node))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        return _as_number(self.generic_visit(node))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        return _as_number(self.generic_visit(node))

    @staticmethod
    def _compiled(node: ast.AST) -> CodeType:
        return compile(ast.fix_missing_locations(ast.Expression(node)), "<expression>", "eval")  # type: ignore[arg-type]


def _as_number(node: Any) -> ast.AST:
    return ast.Call(ast.Name("number", ast.Load()), [node], [])
