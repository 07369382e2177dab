"""Turns pytest-benchmark's JSON into Markdown tables, and a summary to keep in results/.

python benchmarks/table.py build/bench.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
SUITES = {
    "bench_step.py": "A training step",
    "bench_dispatch.py": "An event",
    "bench_peers.py": "Callbacks at every batch, here and in other trainers",
    "bench_native_callbacks.py": "Built-in native callbacks",
    "bench_memory.py": "Memory",
    "bench_checkpoint.py": "Checkpoints",
    "bench_gil.py": "The interpreter while training",
}

Row = dict[str, Any]


def rows_by_suite(benchmarks: list[dict[str, Any]]) -> dict[str, list[Row]]:
    """The rows of each suite, in the order in which they ran."""
    suites: dict[str, list[Row]] = {}
    for benchmark in benchmarks:
        suite = Path(benchmark["fullname"].split("::")[0]).name
        if "name" in benchmark["extra_info"]:
            suites.setdefault(suite, []).append(benchmark["extra_info"])
    return {suite: suites[suite] for suite in [*SUITES, *suites] if suite in suites}


def number(value: float) -> str:
    """With about three digits."""
    if value == 0 or 0.001 <= abs(value) < 1_000_000:
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:.1e}"


def cells(row: Row, contestants: list[str]) -> list[str]:
    """A row of a table."""
    medians = row["medians"]
    shown = [number(medians[name]) if name in medians else "" for name in contestants]
    ratio = number(row["ratio"]) if "ratio" in row else ""
    low, high = row["range"] if row.get("bounds") == "value" or "ratio" not in row else row["ratio_range"]
    verdict = {True: "yes", False: "**no**", None: ""}[row["ok"]]
    return [row["name"], *shown, ratio, f"{number(low)} to {number(high)}", row["target"], verdict]


def table(title: str, rows: list[Row]) -> str:
    """One suite as a Markdown table."""
    contestants = list(dict.fromkeys(name for row in rows for name in row["medians"]))
    units = {row["unit"] for row in rows}
    unit = f" ({units.pop()})" if len(units) == 1 and units != {""} else ""
    heads = [name + unit for name in contestants]
    lines = [["figure", *heads, "ratio", "spread", "target", "ok"]]
    lines.append(["---", *["---:"] * (len(contestants) + 1), "---", "---", "---"])
    lines += [cells(row, contestants) for row in rows]
    return "\n".join([f"### {title}", "", *("| " + " | ".join(line) + " |" for line in lines)])


def made_with(machine: dict[str, Any]) -> str:
    """The line under the tables."""
    return (
        "Medians over rounds taken in turns. Ratio: the first column over the second. Spread: lowest and highest "
        "round, of the ratio where there is one.\n"
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}, "
        f"torch {machine['torch']} with {machine['threads']} thread, commit {machine['commit']}."
    )


def main() -> int:
    """Print the tables and write the summary; 1 if a target is missed."""
    data = json.loads(Path(sys.argv[1]).read_text())
    suites = rows_by_suite(data["benchmarks"])
    machine = data["machine_info"]["pyhooks"]
    print("\n\n".join(table(SUITES.get(suite, suite), rows) for suite, rows in suites.items()))
    print("\n" + made_with(machine))
    summary = {"date": data["datetime"], **machine, "figures": suites}
    if set(SUITES) <= set(suites):  # a run of some suites only is not kept
        RESULTS.mkdir(exist_ok=True)
        kept = RESULTS / f"{machine['cores']}-cores-torch-{machine['torch']}.json"
        kept.write_text(json.dumps(summary, indent=1) + "\n")
    return 0 if all(row["ok"] is not False for rows in suites.values() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
