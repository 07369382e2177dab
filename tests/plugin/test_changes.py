"""Several plugins, the same one again, and one that changes while the process lives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from plugin import sources
from plugin.installation import Installation

pytestmark = [pytest.mark.slow, pytest.mark.integration]


def test_two_plugins_with_one_class_name(installed: Installation, tmp_path: Path) -> None:
    for name, value in {"one": "1.0", "two": "2.0"}.items():
        # an inline variable of one name: on Linux such ones are shared by all libraries that do not hide them
        before = f"inline double kept = {value};"
        (tmp_path / f"{name}.cpp").write_text(sources.plugin(value="kept", column=name, before=before))
    program = f"""{sources.PRELUDE}
one, two = pyhooks.load_plugin("one.cpp"), pyhooks.load_plugin("two.cpp")
assert one.Scaled is not two.Scaled and one is not two
batch = train(one.Scaled(), two.Scaled(factor=10))
print(batch["one"][0], batch["two"][0], one.Scaled().name, two.Scaled().name)
"""
    assert installed.run(program, tmp_path) == "1.0 20.0 one/one two/two\n"


def test_a_source_that_changes(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "my_hooks.cpp").write_text(sources.plugin(value="kept()", before='#include "kept.h"'))
    (tmp_path / "kept.h").write_text("inline double kept() { static double value = 1; return value; }")
    changed = sources.plugin(value="100 * kept()", before='#include "kept.h"')
    program = f"""{sources.PRELUDE}
from pathlib import Path

first = pyhooks.load_plugin("my_hooks.cpp")
assert pyhooks.load_plugin("my_hooks.cpp") is first
old = first.Scaled()
Path("kept.h").write_text("inline double kept() {{ static double value = 2; return value; }}")
second = pyhooks.load_plugin("my_hooks.cpp")
Path("my_hooks.cpp").write_text({changed!r})
third = pyhooks.load_plugin("my_hooks.cpp")
assert len({{first.Scaled, second.Scaled, third.Scaled}}) == 3
for scaled in (old, first.Scaled(), second.Scaled(), third.Scaled()):
    print(scaled.name, train(scaled)["scaled"][0])
print(train(pyhooks.native.NativeCallback("my_hooks/scaled"))["scaled"][0])
"""
    said = installed.run(program, tmp_path)
    assert said == "".join(f"my_hooks/scaled {value}\n" for value in (1.0, 1.0, 2.0, 200.0)) + "200.0\n"


def test_a_library_that_is_replaced(installed: Installation, tmp_path: Path) -> None:
    flags = [installed.config(tmp_path, what) for what in ("--cflags", "--ldflags")]
    (tmp_path / "ten.cpp").write_text("double ten() { return 10; }")
    installed.command(["c++", "-shared", "-fPIC", "ten.cpp", "-o", "libten.so"], tmp_path)
    beside = ["libten.so", "-Wl,-rpath,$ORIGIN"]  # what it links to is found in its own folder
    for name, value in {"first": "ten()", "second": "2 * ten()"}.items():
        (tmp_path / f"{name}.cpp").write_text(sources.plugin(value=value, before="double ten();"))
        installed.command(["c++", *flags[0], f"{name}.cpp", *flags[1], *beside, "-o", f"{name}.so"], tmp_path)
    there = {path.name for path in tmp_path.iterdir()}
    program = f"""{sources.PRELUDE}
import os, shutil

def put(name):
    shutil.copy(name, "new.so")
    os.replace("new.so", "libmine.so")

put("first.so")
first = pyhooks.load_plugin("libmine.so")
put("second.so")
second = pyhooks.load_plugin("libmine.so")
assert pyhooks.load_plugin("libmine.so") is second
put("first.so")
assert pyhooks.load_plugin("libmine.so") is first
for hooks in (first, second):
    print(hooks.Scaled().name, train(hooks.Scaled())["scaled"][0])
"""
    assert installed.run(program, tmp_path) == "mine/scaled 10.0\nmine/scaled 20.0\n"
    assert {path.name for path in tmp_path.iterdir()} == there | {"libmine.so", "program.py"}


COUNTING = """#!/bin/sh
case "$*" in *" -c "*) echo compiled >> "$COUNT";; esac
exec c++ "$@"
"""


def test_a_second_process_compiles_nothing(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "my_hooks.cpp").write_text(sources.plugin())
    variables = counting(tmp_path)
    for _ in range(2):
        assert installed.run(sources.CHECK, tmp_path, "my_hooks.cpp", **variables) == "my_hooks/scaled ''\n"
    assert (tmp_path / "count").read_text() == "compiled\n"


def test_two_processes_at_once_compile_once(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "my_hooks.cpp").write_text(sources.plugin())
    (tmp_path / "program.py").write_text(sources.CHECK)
    environment = {**installed.environment, **counting(tmp_path)}
    words = [str(installed.python), "program.py", "my_hooks.cpp"]
    options = {"cwd": tmp_path, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(words, **options) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in processes]
    assert said == [("my_hooks/scaled ''\n", "")] * 2
    assert (tmp_path / "count").read_text() == "compiled\n"


def counting(folder: Path) -> dict[str, str]:
    """Environment variables for a compiler that notes, in ``count``, how often it compiles; and for an empty cache."""
    compiler = folder / "counting-c++"
    compiler.write_text(COUNTING)
    compiler.chmod(0o755)
    return {"CXX": str(compiler), "COUNT": str(folder / "count"), "PYHOOKS_CACHE": str(folder / "cache")}
