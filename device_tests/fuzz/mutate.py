"""Seeded mutations: of JSON by its structure and as text, and of any file by its bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

_NUMBERS: tuple[Any, ...] = (0, -1, 1, 2**31, 2**63, 10**400, 1e308, 1e-320, -1e9, 10**9, 0.5, True)
_TEXTS = ("", " ", "../../x", "/etc/hostname", "a\0b", "a\nb", "\ud800", "x" * 100_000, "ünïcödé", "NaN", "%s{}", "con")
_OTHERS: tuple[Any, ...] = (None, [], {}, [None], {"": ""}, [[[[[]]]]], "text", 3)


def json_text(text: str, rng: random.Random) -> bytes:
    """A JSON document with one to three changes."""
    document = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        _change(document, rng)
    changed = json.dumps(document, indent=2, ensure_ascii=True)
    if rng.random() < 0.25:
        changed = rng.choice(_AS_TEXT)(changed, rng)
    return changed.encode("utf-8", "surrogatepass")


def _change(document: Any, rng: random.Random) -> None:
    holder, key = rng.choice(list(_places(document)))
    old = holder[key]
    action = rng.randrange(6)
    if action == 0 and len(holder) > 1:
        del holder[key]
    elif action == 1 and isinstance(holder, list):
        holder.append(old)
    elif action == 2 and isinstance(holder, dict):
        holder[rng.choice((*_TEXTS[:6], "unknown"))] = old
    elif action == 3:
        other, place = rng.choice(list(_places(document)))
        holder[key] = json.loads(json.dumps(other[place]))
    else:
        same = _NUMBERS if isinstance(old, int | float) else _TEXTS if isinstance(old, str) else _OTHERS
        holder[key] = rng.choice(same if rng.random() < 0.7 else _OTHERS)


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every container with every key or index in it."""
    found = []
    for key in list(document) if isinstance(document, dict) else range(len(document)):
        found.append((document, key))
        if isinstance(document[key], dict | list):
            found += _places(document[key])
    return found


def _literal(text: str, rng: random.Random) -> str:
    """A number becomes something that JSON has no word for, or has too much of."""
    numbers = [i for i, line in enumerate(text.split("\n")) if line.rstrip(",")[-1:].isdigit() and ": " in line]
    lines = text.split("\n")
    if numbers:
        chosen = rng.choice(numbers)
        head = lines[chosen].partition(": ")[0]
        lines[chosen] = f"{head}: {rng.choice(('NaN', 'Infinity', '-Infinity', '1e999', '01', '0x10'))},"
    return "\n".join(lines)


def _twice(text: str, rng: random.Random) -> str:
    """A key that stands there twice."""
    lines = text.split("\n")
    inside = [i for i, line in enumerate(lines) if '": ' in line and line.rstrip().endswith(",")]
    if inside:
        chosen = rng.choice(inside)
        lines.insert(chosen, lines[chosen])
    return "\n".join(lines)


_AS_TEXT: tuple[Callable[[str, random.Random], str], ...] = (
    _literal,
    _twice,
    lambda text, rng: text[: rng.randrange(len(text))],
    lambda text, rng: "\ufeff" + text,
    lambda text, rng: "[" * 5000 + text + "]" * 5000,
    lambda text, rng: text + text,
)


def binary(data: bytes, rng: random.Random) -> bytes:
    """A file with bytes changed, removed, repeated or inserted; every other time in its first kilobyte, the header."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        reach = len(changed) if rng.random() < 0.5 else min(len(changed), 1024)
        place = rng.randrange(max(1, reach))
        length = rng.choice((1, 2, 4, 8, 64))
        action = rng.randrange(6)
        if action == 0:
            changed[place : place + 1] = bytes([rng.randrange(256)])
        elif action == 1:
            changed[place : place + length] = rng.choice((b"\xff", b"\0", b"\x7f")) * length
        elif action == 2:
            del changed[place : place + length]
        elif action == 3:
            changed[place:place] = rng.randbytes(length)
        elif action == 4:
            changed[place:place] = changed[place : place + length]
        else:
            del changed[rng.randrange(max(1, len(changed))) :]
    return bytes(changed)
