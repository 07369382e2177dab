"""Builds pyhooks: setuptools packs the Python files, CMake and Ninja build the rest into the package.

Environment variables for builders (all optional):
    PYHOOKS_CUDA         1 or 0: the CUDA kernels or not (default: if torch is a CUDA build and nvcc is there)
    PYHOOKS_TORCH_ROOT   folder of the torch package to build against (default: the target environment's)
    PYHOOKS_BUILD_DIR    where CMake builds (default: a folder per Python and torch below build/)
    PYHOOKS_BUILD_TESTS  1: build the C++ tests too
    PYHOOKS_WERROR       1: our own compiler warnings are errors
    CMAKE_ARGS           more arguments for CMake
    CMAKE_BUILD_PARALLEL_LEVEL   compile so many files at once (default: one a core)
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "cmake"))
from locate_torch import Torch, TorchNotFound, locate  # noqa: E402

ON = {"1": "ON", "on": "ON", "true": "ON", "yes": "ON", "0": "OFF", "off": "OFF", "false": "OFF", "no": "OFF"}


def switch(name: str, default: str) -> str:
    """The environment's switch ``name`` for CMake; given even if unset, lest CMake keep an old answer."""
    value = os.environ.get(name, "").lower()
    if value and value not in ON:
        raise SystemExit(f"{name} is {value!r}; it must be 1 or 0")
    return f"-D{name}={ON[value] if value else default}"


def missing_tool() -> str | None:
    """What is missing on this machine to build with, and how to get it; None if all is there."""
    if not shutil.which("cmake"):
        return "no cmake on PATH. Install it with: pip install cmake"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return f"the headers of {sys.executable} are missing. On Debian and Ubuntu: apt-get install python3-dev"
    return None


def build_folder(torch: Torch) -> Path:
    """Folder for CMake: one per Python and torch, so that going from one to the other rebuilds nothing."""
    if named := os.environ.get("PYHOOKS_BUILD_DIR"):
        return ROOT / named
    isolated = "" if any(torch.root.parent == Path(entry) for entry in sys.path) else "-isolated"
    return ROOT / "build" / f"{sys.implementation.cache_tag}-torch-{torch.version}{isolated}"


def drop_if_of_another(folder: Path, torch: Torch) -> None:
    """Start a build folder of another Python or torch afresh: CMake would keep some of its answers."""
    stamp = folder / "configured_for.txt"
    now = f"{sys.executable} {sys.version_info[:2]}\n{torch.root} {torch.version}\n"
    if not stamp.is_file() or stamp.read_text() != now:
        (folder / "CMakeCache.txt").unlink(missing_ok=True)
        shutil.rmtree(folder / "CMakeFiles", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(now)


def ninja() -> list[str]:
    """The Ninja to use, as a CMake argument: pip's, from the environment we build in, else the system's."""
    beside = Path(sys.executable).parent / "ninja"
    found = str(beside) if beside.is_file() else shutil.which("ninja")
    return [f"-DCMAKE_MAKE_PROGRAM={found}"] if found else []


class CMakeBuild(build_ext):
    """Runs CMake, which installs into the package's folder: the source tree's for an editable install."""

    def run(self) -> None:
        """Configure, build, install."""
        try:
            torch = locate()
        except TorchNotFound as error:
            raise SystemExit(f"\npyhooks cannot be built: {error}\n") from None
        if missing := missing_tool():
            raise SystemExit(f"\npyhooks cannot be built: {missing}\n")
        folder = build_folder(torch)
        drop_if_of_another(folder, torch)
        editable = "ON" if self.inplace or self.editable_mode else "OFF"
        options = [f"-DPython_EXECUTABLE={sys.executable}", f"-DPYHOOKS_TORCH_ROOT={torch.root}"]
        options += [f"-DPYHOOKS_EDITABLE={editable}", *ninja()]
        options += [switch("PYHOOKS_CUDA", "AUTO"), switch("PYHOOKS_BUILD_TESTS", "OFF")]
        options += [switch("PYHOOKS_WERROR", "OFF")]
        cmake("-S", ROOT, "-B", folder, "-G", "Ninja", *options, *shlex.split(os.environ.get("CMAKE_ARGS", "")))
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or len(os.sched_getaffinity(0))
        cmake("--build", folder, "--parallel", jobs)
        shutil.rmtree(self.package_folder() / "include", ignore_errors=True)  # a removed header must not stay
        cmake("--install", folder, "--prefix", self.package_folder())

    def package_folder(self) -> Path:
        """The folder that becomes the installed package."""
        return (ROOT if self.inplace or self.editable_mode else Path(self.build_lib).resolve()) / "pyhooks"

    def get_outputs(self) -> list[str]:
        """Files that the build put into the package; none for an editable install: they are used in place."""
        if self.inplace or self.editable_mode:
            return []
        return [str(path) for path in self.package_folder().rglob("*") if path.is_file() and path.suffix != ".py"]

    def get_output_mapping(self) -> dict[str, str]:
        """Nothing is copied from build to source folder: CMake installs where it belongs."""
        return {}


class CleanBuildPy(build_py):
    """Copies the Python files into an empty folder, so that a module removed meanwhile is not shipped."""

    def run(self) -> None:
        """Empty the folder, then copy."""
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib) / "pyhooks", ignore_errors=True)
        super().run()


def cmake(*arguments: object) -> None:
    """Run CMake; its own messages say what is wrong, so a failure ends without a traceback."""
    command = ["cmake", *map(str, arguments)]
    print("+", shlex.join(command), flush=True)
    if code := subprocess.run(command).returncode:
        raise SystemExit(f"\npyhooks cannot be built: cmake ended with {code}, see its messages above\n")


setup(
    ext_modules=[Extension("pyhooks._C", sources=[])],
    cmdclass={"build_ext": CMakeBuild, "build_py": CleanBuildPy},
)
