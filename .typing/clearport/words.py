"""Words of messages."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``: for nouns whose plural has an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
