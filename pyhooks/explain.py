"""``trainer.explain()``: who is called when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyhooks import events

if TYPE_CHECKING:
    from pyhooks.taps import Entry
    from pyhooks.trainer import Trainer

_MOST_NAMES = 8


def explain(trainer: Trainer) -> str:
    """Describe the engine, and for each event its listeners in order.

    Args:
        trainer: whose callbacks.

    Returns:
        Lines of text.
    """
    lines = [f"engine: {trainer.engine}"]
    if trainer._provider.reason:
        lines.append("  " + trainer._provider.reason.replace("\n", "\n  "))
    hooks = {entry.number: entry for entry in trainer._provider.taps.entries}
    for event, kind in events.KINDS.items():
        listeners = [info for info in trainer._dispatcher.listeners(event) if info["id"] not in hooks]
        if listeners:
            lines.append(f"{event} ({kind})")
            lines.extend(f"  {_line(info)}" for info in listeners)
    if hooks:
        lines.append("tensor hooks")
        lines.extend(f"  {_hook_line(entry)}" for entry in hooks.values())
    if len(lines) == 1:
        lines.append("no callbacks")
    return "\n".join(lines)


def _hook_line(entry: Entry) -> str:
    every = f", every={entry.every}" if entry.every != 1 else ""
    return f"{entry.on:<10} {entry.label} (native{every}) on {entry.pattern!r}: {_some(entry.names)}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _line(info: dict[str, Any]) -> str:
    filters = []
    if info["every"] != 1:
        filters.append(f"every={info['every']}")
    if info["after"]:
        filters.append(f"after={info['after']}")
    if info["before"] is not None:
        filters.append(f"before={info['before']}")
    if info["once"]:
        filters.append("once")
    filters += [f"{name}={info[name]:g}" for name in ("seconds", "samples", "priority") if info[name]]
    if info["on_error"] != "raise":
        filters.append(f"on_error={info['on_error']}")
    if info["budget"]:
        filters.append(f"budget={info['budget']:.3g}")
    who = "native" if info["native"] else "Python"
    return f"{info['phase']:<8} {info['label']} ({who}{', ' if filters else ''}{', '.join(filters)})"
