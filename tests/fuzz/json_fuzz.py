"""Random JSON, whole and broken: csrc/files/json.h against Python's json.

    python tests/fuzz/json_fuzz.py <the program pyhooks_fuzz_json> [documents] [seed]

Each document goes to the program (tests/cpp/fuzz_json.cpp), which must read the same value as Python, or refuse what
Python refuses. Run by ctest.
"""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from typing import Any

LETTERS = ["a", "/", '"', "\\", "\n", "\0", "\x7f", "é", "\u2028", "\ud7ff", "😀"]
FLOATS = [0.0, -0.0, 1.0, 0.1, 1e16, 1e-5, 5e-324, float("nan"), float("inf"), float("-inf")]
BREAKS = '[]{},:"\\0123eE+-.ntfNIu \t'
NARROWER = ("does not fit into 64 bits", "a pair of surrogates")
"""Python has ints of any size, makes infinity of 1e999, and lets surrogates stand alone."""


def value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(10 if depth < 4 else 7)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        return rng.choice([rng.randint(-9, 9), rng.randint(-(2**63), 2**63 - 1)])
    if kind in (3, 4):
        return rng.choice([*FLOATS, *struct.unpack("4d", rng.randbytes(32))])
    if kind in (5, 6):
        return text(rng)
    if kind in (7, 8):
        return [value(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return {text(rng): value(rng, depth + 1) for _ in range(rng.randint(0, 4))}


def text(rng: random.Random) -> str:
    return "".join(rng.choices(LETTERS, k=rng.randint(0, 6)))


def document(rng: random.Random) -> str:
    """JSON as Python writes it, every second one with a letter changed, added or left out."""
    written = json.dumps(value(rng), ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.5:
        return written
    place = rng.randrange(len(written))
    end = place + rng.randint(0, 1)
    return written[:place] + rng.choice(["", *BREAKS]) + written[end:]


def differs(written: str, answer: str) -> bool:
    try:
        wanted = json.loads(written)
    except ValueError:
        return not answer.startswith("!")
    if answer.startswith("!"):
        return not any(reason in answer for reason in NARROWER)
    return repr(json.loads(answer)) != repr(wanted)  # tells 1 from 1.0, and 0.0 from -0.0


def main() -> int:
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    documents = [document(rng) for _ in range(count)]
    ran = subprocess.run([sys.argv[1]], input="\n".join(documents).encode(), capture_output=True, check=False)
    answers = ran.stdout.decode().split("\n")[:-1]
    if len(answers) != count:
        print(f"{len(answers)} answers to {count} documents\n{ran.stderr.decode()}")
        return 1
    for written, answer in zip(documents, answers, strict=True):
        if differs(written, answer):
            print(f"document {written!r}\nanswer   {answer!r}")
            return 1
    print(f"{count} documents, {sum(answer.startswith('!') for answer in answers)} refused: no difference")
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
