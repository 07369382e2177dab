"""The four ways in, each from a folder of its own, with nothing but what the installed package ships."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from plugin import sources
from plugin.installation import ROOT, Installation

pytestmark = [pytest.mark.slow, pytest.mark.integration]


def needs_torch(library: Path) -> bool:
    """Whether a library asks for torch's when it is loaded."""
    said = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    return "libtorch" in "".join(line for line in said.splitlines() if "NEEDED" in line)


def compile_by_hand(installed: Installation, folder: Path, source: str, *torch: str) -> Path:
    """As a Makefile would."""
    (folder / "source.cpp").write_text(source)
    flags = [installed.config(folder, what, *torch) for what in ("--cflags", "--ldflags")]
    installed.command(["c++", *flags[0], "source.cpp", *flags[1], "-o", "libby_hand.so"], folder)
    return folder / "libby_hand.so"


class TestSource:
    def test_is_compiled_when_it_is_loaded(self, installed: Installation, tmp_path: Path) -> None:
        (tmp_path / "my_hooks.cpp").write_text(sources.plugin())
        cache = {"PYHOOKS_CACHE": str(tmp_path / "cache")}
        assert installed.run(sources.CHECK, tmp_path, "my_hooks.cpp", **cache) == "my_hooks/scaled ''\n"
        [library] = (tmp_path / "cache").rglob("*.so")
        assert not needs_torch(library)

    def test_of_the_page_on_writing_them(self, installed: Installation, tmp_path: Path) -> None:
        page = (ROOT / "docs" / "writing-native-callbacks.md").read_text()
        name, source = re.search(r"`(\w+\.cpp)`:\n\n```cpp\n(.*?)```", page, re.DOTALL).groups()
        (tmp_path / name).write_text(source)
        program = f"{sources.PRELUDE}\nprint(train(pyhooks.load_plugin({name!r}).Spike(factor=4))['spikes'])"
        assert installed.run(program, tmp_path) == "[0. 0. 0. 0. 0. 0.]\n"

    def test_that_uses_tensors(self, installed: Installation, tmp_path: Path) -> None:
        (tmp_path / "tensors.cpp").write_text(sources.TENSORS)
        assert installed.run(sources.CHECK_TENSORS, tmp_path, "tensors.cpp") == "tensors/param_sum\n"


class TestLibrary:
    def test_compiled_by_hand(self, installed: Installation, tmp_path: Path) -> None:
        library = compile_by_hand(installed, tmp_path, sources.plugin())
        assert installed.run(sources.CHECK, tmp_path, "libby_hand.so") == "by_hand/scaled ''\n"
        assert not needs_torch(library)

    def test_with_torchs_flags_but_without_tensors(self, installed: Installation, tmp_path: Path) -> None:
        library = compile_by_hand(installed, tmp_path, sources.plugin(), "--torch")
        assert installed.run(sources.CHECK, tmp_path, "./libby_hand.so") == "by_hand/scaled ''\n"
        assert not needs_torch(library)


CMAKE = """
cmake_minimum_required(VERSION 3.22)
project(user CXX)
find_package(pyhooks 0.1 REQUIRED)
pyhooks_add_plugin(plain plain.cpp)
pyhooks_add_plugin(tensors TORCH tensors.cpp)
"""


class TestCMake:
    def test_find_package(self, installed: Installation, tmp_path: Path) -> None:
        (tmp_path / "CMakeLists.txt").write_text(CMAKE)
        (tmp_path / "plain.cpp").write_text(sources.plugin())
        (tmp_path / "tensors.cpp").write_text(sources.TENSORS)
        prefix = installed.run("import pyhooks; print(pyhooks.cmake_prefix_path)", tmp_path).strip()
        packages = installed.run("import torch; print(torch.__path__[0])", tmp_path).strip()
        options = [f"-DCMAKE_PREFIX_PATH={prefix}", f"-DPYHOOKS_TORCH_ROOT={packages}"]
        installed.command(["cmake", "-S", ".", "-B", "build", *options], tmp_path)
        installed.command(["cmake", "--build", "build"], tmp_path)
        assert installed.run(sources.CHECK, tmp_path, "build/libplain.so") == "plain/scaled ''\n"
        assert installed.run(sources.CHECK_TENSORS, tmp_path, "build/libtensors.so") == "tensors/param_sum\n"
        assert not needs_torch(tmp_path / "build" / "libplain.so")

    @pytest.mark.parametrize("variable", ["pyhooks_DIR", "CMAKE_PREFIX_PATH"])
    def test_named_by_config(self, installed: Installation, tmp_path: Path, variable: str) -> None:
        (tmp_path / "CMakeLists.txt").write_text(CMAKE.replace("pyhooks_add_plugin(tensors TORCH tensors.cpp)", ""))
        (tmp_path / "plain.cpp").write_text(sources.plugin())
        [folder] = installed.config(tmp_path, "--cmakedir")
        installed.command(["cmake", "-S", ".", "-B", "build", f"-D{variable}={folder}"], tmp_path)
        installed.command(["cmake", "--build", "build"], tmp_path)
        assert installed.run(sources.CHECK, tmp_path, "build/libplain.so") == "plain/scaled ''\n"


PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "hooks-of-theirs"
version = "1.2"

[project.entry-points."pyhooks.plugins"]
from_source = "hooks_of_theirs:source"
from_library = "hooks_of_theirs:library"

[tool.setuptools]
packages = ["hooks_of_theirs"]
package-data = { hooks_of_theirs = ["*.cpp", "*.so"] }
"""
MODULE = """
from pathlib import Path

source = Path(__file__).with_name("scaled.cpp")

def library():
    return Path(__file__).with_name("libscaled.so")
"""


def test_installed_package_names_its_plugin(installed: Installation, tmp_path: Path) -> None:
    package = tmp_path / "their project" / "hooks_of_theirs"
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text(MODULE)
    (package / "scaled.cpp").write_text(sources.plugin())
    shutil.copy(compile_by_hand(installed, tmp_path, sources.plugin()), package / "libscaled.so")
    installed.pip_install(package.parent, tmp_path)
    said = installed.run("import pyhooks; print(pyhooks.plugins.installed())", tmp_path)
    assert said == "{'from_library': 'hooks-of-theirs 1.2', 'from_source': 'hooks-of-theirs 1.2'}\n"
    for name in ("from_source", "from_library"):
        assert installed.run(sources.CHECK, tmp_path, name) == f"{name}/scaled ''\n"
