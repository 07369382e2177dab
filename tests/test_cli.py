from pathlib import Path

import pytest

from pyhooks import paths
from pyhooks.cli import main


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("pyhooks ")


def test_without_a_command_it_prints_the_help(capsys):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["demo", "--epochs", "0"], ["demo", "--threads", "x"], ["dmeo"]])
def test_wrong_words_are_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert words[-1] in capsys.readouterr().err


def test_config_answers_one_a_line_in_the_order_asked(capsys):
    assert main(["config", "--cmakedir", "--includedir", "--cflags", "--ldflags"]) == 0
    cmake, include, cflags, ldflags = capsys.readouterr().out.splitlines()
    assert (Path(cmake) / "pyhooksConfig.cmake").is_file()
    assert (Path(include) / "pyhooks" / "plugin.h").is_file()
    assert cflags.startswith("-std=c++20 ") and f"-I{paths.include_dir()}" in cflags and "torch" not in cflags
    assert ldflags == "-shared"


def test_config_with_torch(capsys):
    assert main(["config", "--torch", "--cflags", "--ldflags"]) == 0
    cflags, ldflags = capsys.readouterr().out.splitlines()
    assert "torch/include" in cflags and ldflags.endswith("-lc10 -ltorch_cpu")


def test_config_of_nothing_says_what_there_is(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["config"])
    assert ended.value.code == 2
    assert "--cflags" in capsys.readouterr().err
