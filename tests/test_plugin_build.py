"""The cache of built plugins, with a compiler that only pretends: tests/plugin/ has the real one."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from pyhooks import PluginError, plugin_build

COMPILER = r"""#!/bin/sh
# Writes down how it is called, and makes what it is asked for: an object that depends on header.h, or a library.
if [ "$1" = --version ]; then cat "$0.version"; exit; fi
echo "$@" >> "$0.calls"
while [ $# -gt 0 ]; do
  case $1 in -o) out=$2;; -MF) depends=$2;; -c) source=$2;; esac
  shift
done
if [ -n "$depends" ]; then
  escaped=$(echo "$source" | sed 's/[$]/$$/g; s/[ #]/\\&/g')
  printf 'object: %s \\\n header.h\n' "$escaped" > "$depends"
  grep -q BROKEN "$source" && { echo "$source:1: error: it is broken"; exit 1; }
  grep -q SLOPPY "$source" && echo "$source:1: warning: it is sloppy"
  grep -q SLOW "$source" && sleep 0.3
  grep -q RESTLESS "$source" && sleep 0.02 && echo two > header.h
  grep -q ONCE "$source" && [ ! -e edited ] && sleep 0.02 && touch edited && echo two > header.h
fi
cat header.h > "$out"
"""


class Bench(NamedTuple):
    """A source, its header, and the compiler that notes its calls."""

    source: Path
    header: Path
    compiler: Path

    def build(self, *flags: str) -> Path:
        return plugin_build.build(self.source, flags)

    def compiled(self) -> int:
        """How often a source was compiled."""
        calls = Path(f"{self.compiler}.calls")
        return calls.read_text().count(" -c ") if calls.exists() else 0

    def is_version(self, version: str) -> None:
        Path(f"{self.compiler}.version").write_text(version)
        plugin_build._version.cache_clear()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    folder = tmp_path / "a folder: $HOME & co"
    folder.mkdir()
    made = Bench(folder / "my hooks.cpp", folder / "header.h", tmp_path / "compiler")
    made.source.write_text("first")
    made.header.write_text("one")
    made.compiler.write_text(COMPILER)
    made.compiler.chmod(made.compiler.stat().st_mode | stat.S_IXUSR)
    made.is_version("pretender 1.0")
    monkeypatch.setenv("CXX", str(made.compiler))
    monkeypatch.setenv("PYHOOKS_CACHE", str(tmp_path / "cache"))
    return made


def test_the_second_time_nothing_is_compiled(bench: Bench) -> None:
    first = bench.build()
    assert (first.read_text(), first.suffix, bench.compiled()) == ("one", ".so", 1)
    assert bench.build() == first
    assert bench.compiled() == 1
    assert first.is_relative_to(plugin_build.cache_dir())


def test_whatever_goes_in_makes_another_library(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = [bench.build(), bench.build("-DX=1")]
    bench.source.write_text("second")
    libraries.append(bench.build())
    bench.header.write_text("two")
    libraries.append(bench.build())
    bench.is_version("pretender 2.0")
    libraries.append(bench.build())
    monkeypatch.setattr("torch.__version__", "9.9.9")
    libraries.append(bench.build())
    assert bench.compiled() == len(set(libraries)) == 6
    assert [library.read_text() for library in libraries] == ["one", "one", "one", "two", "two", "two"]


def test_going_back_compiles_nothing(bench: Bench) -> None:
    first = bench.build()
    bench.header.write_text("two")
    bench.build()
    bench.header.write_text("one")
    assert bench.build() == first
    assert bench.compiled() == 2


def test_pyhooks_own_headers_count(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = tmp_path / "include"
    (headers / "pyhooks").mkdir(parents=True)
    (headers / "pyhooks" / "plugin.h").write_text("of today")
    monkeypatch.setattr("pyhooks.paths.include_dir", lambda: headers)
    first = bench.build()
    (headers / "pyhooks" / "plugin.h").write_text("of tomorrow")
    assert bench.build() != first


def test_threads_wait_for_the_one_that_compiles(bench: Bench) -> None:
    bench.source.write_text("SLOW")
    built: list[Path] = []
    threads = [threading.Thread(target=lambda: built.append(bench.build())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(built), len(set(built)), bench.compiled()) == (4, 1, 1)


def test_what_changes_while_it_is_compiled_is_compiled_again(bench: Bench) -> None:
    bench.source.write_text("ONCE")
    assert bench.build().read_text() == "two\n"
    assert bench.compiled() == 2


def test_what_never_stops_changing(bench: Bench) -> None:
    bench.source.write_text("RESTLESS")
    with pytest.raises(PluginError, match="kept changing while it was compiled"):
        bench.build()


def test_broken_source(bench: Bench) -> None:
    bench.source.write_text("BROKEN")
    with pytest.raises(PluginError) as caught:
        bench.build("-DX=a b")
    message = str(caught.value)
    assert message.startswith(f"{bench.source} cannot be built:\n\n{bench.source}:1: error: it is broken\n\n")
    assert "The command was:\n" in message and "'-DX=a b'" in message
    assert "ninja" not in message
    bench.source.write_text("mended")
    assert bench.build().is_file()


def test_warnings_are_shown(bench: Bench) -> None:
    bench.source.write_text("SLOPPY")
    with pytest.warns(UserWarning, match="compiles with warnings:\n.*:1: warning: it is sloppy$"):
        bench.build()


def test_nothing_is_left_behind_but_the_library(bench: Bench) -> None:
    library = bench.build()
    assert {path.name for path in library.parent.iterdir()} == {library.name, "depends.json", "lock"}


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such source: .*/gone\.cpp"):
        plugin_build.build(tmp_path / "gone.cpp")


def test_no_compiler(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(PluginError, match="CXX names the compiler 'no-such-compiler', which is not there"):
        bench.build()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(bench.source.parent))
    with pytest.raises(PluginError, match=r"no C\+\+ compiler\. Install g\+\+ .*apt-get install g\+\+.*CXX"):
        bench.build()


def test_no_ninja(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.files", lambda name: None)
    monkeypatch.setenv("PATH", str(bench.source.parent))
    with pytest.raises(PluginError, match=r"no Ninja\. Install it with: pip install ninja"):
        bench.build()


def test_a_cache_that_cannot_be_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYHOOKS_CACHE", str(bench.source))
    with pytest.raises(PluginError, match=r"cannot be written .* PYHOOKS_CACHE"):
        bench.build()


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYHOOKS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert plugin_build.cache_dir() == Path("/there/pyhooks/plugins")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert plugin_build.cache_dir() == Path.home() / ".cache" / "pyhooks" / "plugins"
    monkeypatch.setenv("PYHOOKS_CACHE", "here")
    assert plugin_build.cache_dir() == Path(os.getcwd(), "here", "plugins")


def test_the_compilers_list_of_files_is_read_with_its_escapes(tmp_path: Path) -> None:
    text = "a.o: my\\ hooks.cpp /usr/a\\#b.h \\\n  sub/c$$d.h\n"
    found = plugin_build._own_dependencies(text, tmp_path)
    assert found == sorted([tmp_path / "my hooks.cpp", Path("/usr/a#b.h"), tmp_path / "sub/c$d.h"])
