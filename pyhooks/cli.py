"""The command line: ``python -m pyhooks demo``, ``python -m pyhooks config``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``python -m pyhooks``. Default: those the process was started with.

    Returns:
        The process's exit status: 0 when all went well.

    Example:
        >>> main(["demo", "--epochs", "3"])  # doctest: +SKIP
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "demo":
        from pyhooks import demo

        return demo.main(epochs=options.epochs, seed=options.seed, threads=options.threads, save_dir=options.save_dir)
    if options.command == "config":
        if not options.asked:
            parser.error("config wants one or more of --includedir, --cmakedir, --cflags, --ldflags")
        return _config(options)
    parser.print_help()
    return 2


def _config(options: argparse.Namespace) -> int:
    """Print what was asked for, one a line."""
    from pyhooks import paths

    answers = {
        "includedir": lambda: str(paths.include_dir()),
        "cmakedir": lambda: str(paths.cmake_dir()),
        "cflags": lambda: shlex.join(paths.compile_flags(torch=options.torch)),
        "ldflags": lambda: shlex.join(paths.link_flags(torch=options.torch)),
    }
    for name in options.asked:
        print(answers[name]())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyhooks", description="Trains PyTorch models in a loop written in C++."
    )
    parser.add_argument("--version", action="version", version=f"pyhooks {_version()}")
    commands = parser.add_subparsers(dest="command", title="commands")
    demo = commands.add_parser("demo", help="train a small network on handwritten digits beside a plain PyTorch loop")
    demo.add_argument("--epochs", type=_positive, default=40, help="epochs at most (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="seed of weights, order and dropout (default: %(default)s)")
    demo.add_argument("--threads", type=_positive, default=1, help="torch's threads (default: %(default)s)")
    demo.add_argument(
        "--save-dir", type=Path, default=None, help="the run's folder (default: runs/train, runs/train2, ...)"
    )
    config = commands.add_parser(
        "config",
        help="say how to compile a plugin",
        description="Says how to compile a plugin: g++ $(python -m pyhooks config --cflags) my_hooks.cpp "
        "$(python -m pyhooks config --ldflags) -o libmy_hooks.so",
    )
    config.set_defaults(asked=[])
    asked = {
        "includedir": "folder of the headers",
        "cmakedir": "folder for CMake's pyhooks_DIR",
        "cflags": "flags that compile a plugin",
        "ldflags": "flags that link it, to follow its objects",
    }
    for name, what in asked.items():
        config.add_argument(f"--{name}", dest="asked", action="append_const", const=name, help=what)
    config.add_argument("--torch", action="store_true", help="flags for a plugin that includes torch's headers")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} came, a whole number of at least 1 was wanted")
    return number


def _version() -> str:
    try:
        return metadata.version("pyhooks-torch")
    except metadata.PackageNotFoundError:
        return "(not installed)"
