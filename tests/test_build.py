"""The house: one version, one list of sources, a build that knows what it was built with."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
import torch

import pyhooks
from pyhooks import _build_check, paths

ROOT = Path(__file__).resolve().parents[1]


def built_with(**changes: str) -> ModuleType:
    """A made-up ``_build_info``."""
    return cast(Any, SimpleNamespace(**{"PYTHON": "3.11", "TORCH_VERSION": "2.13.0+cpu", **changes}))


def load(path: Path) -> ModuleType:
    """Import a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


locate_torch = load(ROOT / "cmake" / "locate_torch.py")


def fake_torch(folder: Path, version: str, cuda: str | None = None) -> Path:
    """A folder that looks like an installed torch package."""
    root = folder / "torch"
    for name in ("lib/libtorch_cpu.so", "include/ATen/ATen.h"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    (root / "version.py").write_text(f"__version__ = '{version}'\ncuda: Optional[str] = {cuda!r}\n")
    return root


class TestVersion:
    def test_is_the_same_everywhere(self) -> None:
        from pyhooks import _build_info

        named = re.search(r'^version = "(.*?)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert named is not None
        assert pyhooks.__version__ == named[1]
        assert named[1] == _build_info.PYHOOKS_VERSION
        assert importlib.metadata.version("pyhooks-torch") == named[1]

    def test_changelog_has_it(self) -> None:
        assert f"## {pyhooks.__version__}" in (ROOT / "CHANGELOG.md").read_text()


class TestBuildCheck:
    def test_this_build_passes(self) -> None:
        _build_check.check()

    def test_records_the_torch_and_python_it_was_built_with(self) -> None:
        from pyhooks import _build_info

        assert str(torch.__version__) == _build_info.TORCH_VERSION
        assert f"{sys.version_info[0]}.{sys.version_info[1]}" == _build_info.PYTHON

    def test_another_torch_is_named_with_the_command_that_rebuilds(self) -> None:
        reason = _build_check.problem(built_with(), "2.14.1", "3.11")
        assert reason is not None
        assert "built with torch 2.13.0+cpu" in reason
        assert "runs with torch 2.14.1" in reason
        assert "pip install" in reason

    def test_another_python_is_named(self) -> None:
        reason = _build_check.problem(built_with(PYTHON="3.10"), "2.13.0+cpu", "3.11")
        assert reason is not None
        assert "built with Python 3.10" in reason
        assert "runs with Python 3.11" in reason

    def test_unbuilt_source_tree_says_how_to_build(self) -> None:
        reason = _build_check.problem(None, "2.13.0+cpu", "3.11")
        assert reason is not None
        assert "not built" in reason
        assert _build_check.rebuild_command() in reason

    def test_mismatch_is_an_import_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_build_check, "_build_info", lambda: built_with(TORCH_VERSION="2.13.9"))
        with pytest.raises(ImportError, match=r"built with torch 2\.13\.9"):
            _build_check.check()

    def test_without_torch_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(ImportError, match="pip install 'torch>="):
            _build_check.check()


class TestLocateTorch:
    def test_finds_the_torch_that_runs(self) -> None:
        found = locate_torch.locate()
        assert found.root == Path(torch.__file__).parent
        assert found.version == str(torch.__version__)
        assert found.cuda == (torch.version.cuda or "")

    def test_wants_what_the_package_depends_on(self) -> None:
        assert f"torch{locate_torch.WANTED}" in (ROOT / "pyproject.toml").read_text()

    def test_reads_a_cuda_build(self, tmp_path: Path) -> None:
        found = locate_torch.read(fake_torch(tmp_path, "2.14.1+cu130", "13.0"))
        assert (found.version, found.cuda) == ("2.14.1+cu130", "13.0")

    @pytest.mark.parametrize("version", ["2.12.1", "2.15.0", "3.0.0+cpu"])
    def test_refuses_other_versions(self, tmp_path: Path, version: str) -> None:
        with pytest.raises(locate_torch.TorchNotFound, match=rf"{re.escape(version)} .*\n.*pip install"):
            locate_torch.read(fake_torch(tmp_path, version))

    def test_refuses_a_torch_without_headers(self, tmp_path: Path) -> None:
        root = fake_torch(tmp_path, "2.13.0")
        shutil.rmtree(root / "include")
        with pytest.raises(locate_torch.TorchNotFound, match="no include/ATen"):
            locate_torch.read(root)

    def test_finds_the_active_environment_from_an_isolated_build(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = tmp_path / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        root = fake_torch(site, "2.13.0")
        monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
        assert root.parent in list(locate_torch.candidates())

    def test_none_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(locate_torch, "candidates", lambda: iter([tmp_path]))
        with pytest.raises(locate_torch.TorchNotFound, match=r"pip install 'torch>=") as caught:
            locate_torch.locate()
        assert str(tmp_path) in str(caught.value)

    def test_wrong_named_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYHOOKS_TORCH_ROOT", str(tmp_path))
        with pytest.raises(locate_torch.TorchNotFound, match="PYHOOKS_TORCH_ROOT"):
            locate_torch.locate()


class TestSources:
    def test_every_source_is_listed(self) -> None:
        lists = (ROOT / "cmake" / "sources.cmake").read_text()
        listed = re.findall(r"^\s+(\S+\.(?:cpp|cu))$", lists, re.MULTILINE)
        there = [path for top in ("csrc", "tests/cpp", "benchmarks/cpp") for path in (ROOT / top).rglob("*.c*")]
        sources = [str(path.relative_to(ROOT)) for path in there if path.suffix in (".cpp", ".cu")]
        assert set(listed) == set(sources)

    def test_native_callbacks_include_public_headers_only(self) -> None:
        for source in (ROOT / "csrc" / "callbacks").glob("*.*"):
            for name in re.findall(r'^#include "(.*)"', source.read_text(), re.MULTILINE):
                assert name.startswith("pyhooks/"), f"{source.name} includes {name}"

    def test_only_the_bindings_include_python(self) -> None:
        python_header = re.compile(r"#include [<\"](Python\.h|pybind11/|torch/extension|torch/csrc/utils/pybind)")
        for source in (ROOT / "csrc").rglob("*.*"):
            if source.parent.name != "bindings":
                found = python_header.search(source.read_text())
                assert found is None, f"{source.name} has {found and found[0]}"


class TestInstalledFiles:
    def test_headers_are_those_of_the_source_tree(self) -> None:
        ours, installed = (
            {path.name: path.read_text() for path in folder.iterdir()}
            for folder in (ROOT / "csrc" / "include" / "pyhooks", paths.include_dir() / "pyhooks")
        )
        assert installed == ours

    def test_core_library_has_no_python_in_it(self) -> None:
        library = paths.library_dir() / "libpyhooks.so"
        needed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
        assert "libtorch_cpu.so" in needed
        assert "python" not in re.sub(r".*R(UN)?PATH.*", "", needed)

    def test_missing_part_says_how_to_build(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paths, "_PACKAGE", tmp_path)
        with pytest.raises(FileNotFoundError, match="pip install"):
            paths.cmake_dir()


CONSUMER = """
cmake_minimum_required(VERSION 3.22)
project(consumer CXX)
find_package(pyhooks REQUIRED)
add_library(plugin SHARED plugin.cpp)
target_link_libraries(plugin PRIVATE pyhooks::headers)
add_executable(program program.cpp)
target_link_libraries(program PRIVATE pyhooks::pyhooks)
"""
PLUGIN = """
#include "pyhooks/callback.h"
#include "pyhooks/version.h"
struct Mine final : pyhooks::Callback {};
extern "C" int pyhooks_test_plugin() { return PYHOOKS_ABI_VERSION; }
"""
PROGRAM = """
#include <ATen/ops/ones.h>
#include <ATen/core/Tensor.h>
#include "pyhooks/version.h"
int main() { return at::ones({3}).numel() == 3 ? 0 : 1; }
"""


@pytest.mark.slow
@pytest.mark.integration
def test_find_package_gives_headers_and_core(tmp_path: Path) -> None:
    for name, text in {"CMakeLists.txt": CONSUMER, "plugin.cpp": PLUGIN, "program.cpp": PROGRAM}.items():
        (tmp_path / name).write_text(text)
    build = tmp_path / "build"
    for command in (
        ["cmake", "-S", tmp_path, "-B", build, f"-Dpyhooks_DIR={paths.cmake_dir()}"],
        ["cmake", "--build", build],
        [build / "program"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
