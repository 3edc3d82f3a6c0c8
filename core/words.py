"""Words of messages."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``: for nouns whose plural has an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def task_title(task: str) -> str:
    """A task at the start of a line."""
    return task.upper() if task == "hdr" else task.capitalize()
