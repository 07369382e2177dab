"""What the compiler says of a plugin with a mistake in it: the remedy, and nothing after it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from pyhooks import paths

BASE = "final : public pyhooks::Callback"
FINE = "public: void on_train_batch_end(pyhooks::BatchContext&) override {}"
SIGNATURE = (
    "on_train_batch_end has the wrong signature or is not public; it is: "
    "void on_train_batch_end(pyhooks::BatchContext& ctx) override"
)
REGISTERED = 'PYHOOKS_CALLBACK(Mine, "mine", "Help.");'


def errors(source: str, folder: Path) -> list[str]:
    """The compiler's errors, each with its line in the source where it has one."""
    (folder / "my_hooks.cpp").write_text(f"#include <pyhooks/plugin.h>\n{source}\n")
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    words = [*compiler, *paths.compile_flags(torch=False), "-Wall", "-fsyntax-only", "my_hooks.cpp"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    lines = [line.split(": error: ") for line in done.stderr.splitlines() if ": error: " in line]
    assert bool(lines) == bool(done.returncode), done.stderr
    return [what.removeprefix("static assertion failed: ") for _, what in lines]


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        (f"{BASE} {{ public: void on_train_batch_end(pyhooks::Context&) {{}} }}", SIGNATURE),
        (f"{BASE} {{ public: void on_train_batch_end() {{}} }}", SIGNATURE),
        (f"{BASE} {{ public: int on_train_batch_end(pyhooks::BatchContext&, int) {{ return 1; }} }}", SIGNATURE),
        (f"{BASE} {{ void on_train_batch_end(pyhooks::BatchContext&) override {{}} }}", SIGNATURE),
        (
            f"{BASE} {{ public: void on_val_end(pyhooks::BatchContext&) {{}} }}",
            SIGNATURE.replace("on_train_batch_end", "on_val_end").replace("Batch", ""),
        ),
        (f"final : pyhooks::Callback {{ {FINE} }}", "Mine must derive publicly from pyhooks::Callback"),
        (
            "final { public: void on_train_batch_end(pyhooks::BatchContext&) {} }",
            "Mine must derive publicly from pyhooks::Callback",
        ),
        (
            f"{BASE} {{ public: void on_train_batch_ends(pyhooks::BatchContext&) {{}} }}",
            "Mine overrides no event, so it would never be called. Is an event's name misspelt? Write override after "
            "each event method, and the compiler names the misspelt one; the events are in pyhooks/callback.h",
        ),
        (
            f"{BASE} {{ public: explicit Mine(int) {{}} {FINE} }}",
            "Mine needs a public constructor that takes const pyhooks::Options&, or one without arguments, and no pure "
            "virtual method left",
        ),
    ],
)
def test_says_what_to_write_and_nothing_else(definition: str, says: str, tmp_path: Path) -> None:
    assert errors(f"class Mine {definition};\n{REGISTERED}", tmp_path) == [says]


def test_a_marked_method_with_a_wrong_signature_is_told_the_right_one(tmp_path: Path) -> None:
    definition = f"{BASE} {{ public: void on_train_batch_end(pyhooks::Context&) override {{}} }}"
    own, remedy = errors(f"class Mine {definition};\n{REGISTERED}", tmp_path)
    assert "override" in own and remedy == SIGNATURE


def test_a_missing_semicolon_is_told_at_the_class(tmp_path: Path) -> None:
    assert "expected ';' after class" in "".join(errors(f"class Mine {BASE} {{ {FINE} }}\n{REGISTERED}", tmp_path))


def test_an_event_method_may_have_overloads(tmp_path: Path) -> None:
    definition = f"{BASE} {{ {FINE} void on_train_batch_end() {{}} }}"
    assert errors(f"class Mine {definition};\n{REGISTERED}", tmp_path) == []
    definition = f"{BASE} {{ public: void on_train_batch_end() {{}} void on_train_batch_end(int) {{}} }}"
    assert errors(f"class Mine {definition};\n{REGISTERED}", tmp_path) == [SIGNATURE]


def test_classes_in_a_namespace_are_registered_in_it(tmp_path: Path) -> None:
    source = f"namespace my_hooks {{ class Mine {BASE} {{ {FINE} }};\n{REGISTERED} }}"
    assert errors(source, tmp_path) == []
