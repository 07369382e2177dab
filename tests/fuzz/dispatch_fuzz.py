"""Callbacks that add, remove, throw, vote and skip at random events: the native loop against a model of the rules.

    python tests/fuzz/dispatch_fuzz.py <the program pyhooks_fuzz> [rounds] [first seed]

Writes trainings as text to the program (tests/cpp/fuzz_dispatch.cpp) and compares what it prints with what
:mod:`rules` says must happen. Run by ctest.
"""

from __future__ import annotations

import random
import subprocess
import sys

from rules import EVENTS, Act, Round, Spec

WHATS = ["vote", "throw", "throw", "skip", "skip", "add", "add", "remove", "remove"]


def random_round(rng: random.Random) -> Round:
    made = Round(rng.randint(1, 3), rng.randint(1, 4), rng.choice([1, 1, 2, 3]), rng.choice([0, 0, 1, 2]))
    for number in range(rng.randint(1, 6)):
        made.specs[number] = random_spec(rng, number)
    for _ in range(rng.randint(0, 8)):
        spec = rng.choice(list(made.specs.values()))
        event = rng.choice([e for e in range(len(EVENTS)) if spec.listens(e)])
        act = Act(rng.choice(WHATS), rng.randrange(len(made.specs)))
        spec.acts.setdefault((event, rng.choice([1, 1, 2, 3, 5])), []).append(act)
    return made


def random_spec(rng: random.Random, number: int) -> Spec:
    few = rng.random() < 0.3
    chosen = rng.sample(range(len(EVENTS)), 1 if few else rng.randint(2, len(EVENTS)))
    plain = rng.random() < 0.5
    return Spec(
        id=number,
        phase=rng.randrange(4),
        priority=rng.choice([0, 0, 0, 1, -1, 5]),
        every=1 if plain else rng.randint(1, 3),
        once=not plain and rng.random() < 0.3,
        after=0 if plain else rng.randint(0, 3),
        before=1 << 40 if plain else rng.choice([1 << 40, 2, 5]),
        policy=rng.choice([0, 0, 1, 2]),
        events=sum(1 << event for event in chosen),
        at_start=rng.random() < 0.7,
    )


def blocks(text: str) -> list[list[str]]:
    """The program's output, a list of lines a round."""
    rounds = [block.splitlines() for block in text.split("end\n")]
    return rounds[:-1]


def main() -> int:
    program = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    made = [random_round(random.Random(seed + i)) for i in range(rounds)]
    text = "".join(one.text() for one in made)
    ran = subprocess.run([program], input=text, capture_output=True, text=True, check=False)
    found = blocks(ran.stdout)
    for i, one in enumerate(made):
        wanted = one.predict()
        got = found[i] if i < len(found) else ["the program ended", ran.stderr]
        if got != wanted:
            print(f"seed {seed + i}:\n{one.text()}")
            for a, b in zip([*got, "-"], [*wanted, "-"], strict=False):
                print(f"{'  ' if a == b else '! '}{a:<60} {b}")
            return 1
    notes = sum(len(block) for block in found)
    print(f"{rounds} rounds, {notes} notes: no difference")
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
