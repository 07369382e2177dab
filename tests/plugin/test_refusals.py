"""What is no plugin, or not one for this pyhooks, is refused before anything in it is trusted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from plugin import sources
from plugin.installation import Installation

pytestmark = [pytest.mark.slow, pytest.mark.integration]

C10 = "#include <c10/util/Exception.h>\n"
OTHER_TORCH = '-DPYHOOKS_TORCH_VERSION="9.9.9"'


def refusal(installed: Installation, folder: Path, source: str, *flags: str) -> str:
    """What a new process says when it loads the source, compiled with the flags; an empty registry is left behind."""
    (folder / "my_hooks.cpp").write_text(source)
    before = "before = pyhooks.native.available()\n"
    after = "assert pyhooks.native.available() == before\n"
    program = f"{sources.PRELUDE}\n{before}print(refusal('my_hooks.cpp', flags={list(flags)!r}))\n{after}"
    return installed.run(program, folder)


def test_another_abi(installed: Installation, tmp_path: Path) -> None:
    said = refusal(installed, tmp_path, sources.plugin(), "-DPYHOOKS_ABI_VERSION=99")
    abi = installed.run("import pyhooks._C; print(pyhooks._C.ABI_VERSION)", tmp_path).strip()
    assert f"was built for plugin ABI 99, this pyhooks has ABI {abi}. Build it again with this pyhooks' headers" in said
    assert "or install a pyhooks of ABI 99" in said


def test_another_torch(installed: Installation, tmp_path: Path) -> None:
    said = refusal(installed, tmp_path, sources.plugin(before=C10), OTHER_TORCH)
    torch = installed.run("import torch; print(torch.__version__.partition('+')[0])", tmp_path).strip()
    assert f"was built for torch 9.9.9, this pyhooks has torch {torch}. Build it again against torch {torch}" in said
    assert "or install torch 9.9.9 and a pyhooks built with it." in said


def test_another_torch_that_had_a_function_more(installed: Installation, tmp_path: Path) -> None:
    source = sources.plugin(before=f"{C10}double gone_from_torch();\n", value="gone_from_torch()")
    assert "was built for torch 9.9.9, this pyhooks has torch" in refusal(installed, tmp_path, source, OTHER_TORCH)


def test_another_torch_does_not_matter_to_one_without_tensors(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "my_hooks.cpp").write_text(sources.plugin())
    program = f"{sources.PRELUDE}\nprint(refusal('my_hooks.cpp', flags=[{OTHER_TORCH!r}]))"
    assert installed.run(program, tmp_path) == "loaded\n"


def test_another_standard_library(installed: Installation, tmp_path: Path) -> None:
    said = refusal(installed, tmp_path, sources.plugin(), "-D_GLIBCXX_DEBUG")
    assert "was built for libstdc++ with _GLIBCXX_DEBUG, this pyhooks has libstdc++. Build it again with this" in said


def test_a_function_that_nobody_has(installed: Installation, tmp_path: Path) -> None:
    said = refusal(installed, tmp_path, sources.plugin(before="double nowhere();\n", value="nowhere()"))
    assert "my_hooks-" in said and " cannot be loaded: it needs nowhere(), which neither it nor a library" in said
    assert "link the library that has it" in said and "ABI" not in said


def test_a_function_that_nobody_has_called_before_anything_else(installed: Installation, tmp_path: Path) -> None:
    before = f"{C10}namespace c10 {{ int gone(int); }}\nstatic const int kGone = c10::gone(1);\n"
    said = refusal(installed, tmp_path, sources.plugin(before=before))
    assert "cannot be loaded: it needs c10::gone(int), which neither" in said
    said = refusal(installed, tmp_path, sources.plugin(before=before), OTHER_TORCH)
    assert "was built for torch 9.9.9, this pyhooks has torch" in said


def test_no_class(installed: Installation, tmp_path: Path) -> None:
    said = refusal(installed, tmp_path, "#include <pyhooks/plugin.h>\n")
    assert "registers no class: its source ends with PYHOOKS_CALLBACK" in said


def test_no_plugin_though_it_links_to_one(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "inner.cpp").write_text(sources.plugin())
    flags = [*installed.config(tmp_path, "--cflags"), *installed.config(tmp_path, "--ldflags")]
    installed.command(["c++", *flags, "inner.cpp", "-o", "libinner.so"], tmp_path)
    (tmp_path / "outer.cpp").write_text("int nothing;")
    linked = ["-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", "libinner.so"]
    installed.command(["c++", "-shared", "-fPIC", "outer.cpp", *linked, "-o", "libouter.so"], tmp_path)
    said = installed.run(f"{sources.PRELUDE}\nprint(refusal('libouter.so'))", tmp_path)
    assert "libouter.so is no pyhooks plugin" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('{"rate", "double", 0.5, ""}', "Scaled declares option 'rate' of type 'double'; it must be bool, int, float"),
        ('{"class", "int", 1, ""}', "an option is called 'class', which no keyword argument can be"),
    ],
)
def test_options_declared_wrongly(installed: Installation, tmp_path: Path, options: str, says: str) -> None:
    source = sources.plugin().replace('{"factor", "float", 1.0, "times this"}', options)
    (tmp_path / "my_hooks.cpp").write_text(source)
    assert says in installed.run(f"{sources.PRELUDE}\nprint(refusal('my_hooks.cpp'))", tmp_path)


def test_broken_source_shows_the_compilers_error(installed: Installation, tmp_path: Path) -> None:
    said = refusal(installed, tmp_path, sources.plugin(value="ctx.lost()"))
    assert f"{tmp_path}/my_hooks.cpp cannot be built:" in said
    assert re.search("my_hooks.cpp:[0-9:]+ error: .*pyhooks::BatchContext.* no member named .lost.", said)
    assert "The command was:\n" in said and "-std=c++20" in said


def test_method_with_a_wrong_signature_does_not_compile(installed: Installation, tmp_path: Path) -> None:
    source = sources.plugin().replace("on_train_batch_end(pyhooks::BatchContext& ctx) override", "on_train_batch_end()")
    source = source.replace("factor_ * ctx.loss()", "0").replace("ctx.log", "(void)std::make_pair")
    assert "on_train_batch_end has the wrong signature or is not public; it is: void on_train" in refusal(
        installed, tmp_path, source
    )


def test_wrong_option_names_the_right_ones(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "my_hooks.cpp").write_text(sources.plugin())
    program = f"""{sources.PRELUDE}
try:
    pyhooks.load_plugin("my_hooks.cpp").Scaled(facter=2)
except TypeError as error:
    print(error)
"""
    said = installed.run(program, tmp_path)
    assert said == "Scaled has no option 'facter'; did you mean 'factor'? Its options: factor=1.0\n"
