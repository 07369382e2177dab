"""The command line: ``python -m pyhooks demo``."""

from __future__ import annotations

import argparse
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
    parser.print_help()
    return 2


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
