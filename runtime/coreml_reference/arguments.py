"""The operands of one MIL operation, for the functions that evaluate it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearport.errors import RuntimeFailure, UnsupportedOperator

if TYPE_CHECKING:
    from torch import Tensor

    from clearport.runtime.coreml_reference.program import Operation


@dataclass(frozen=True)
class Arguments:
    """The operands of one operation, already resolved: torch tensors and str."""

    operation: Operation
    given: dict[str, list[Any]]

    def tensor(self, name: str) -> Tensor:
        """An operand as float32."""
        return self.raw(name).float()

    def raw(self, name: str) -> Tensor:
        """An operand in its own dtype."""
        if name not in self.given:
            raise RuntimeFailure(f"operation {self.operation.result.name!r} ({self.operation.type}) lacks {name!r}")
        found: Tensor = self.given[name][0]
        return found

    def optional(self, name: str) -> Tensor | None:
        """An operand as float32, or None if omitted."""
        return self.tensor(name) if name in self.given else None

    def ints(self, name: str, default: Sequence[int]) -> list[int]:
        """A list of integers."""
        return [int(n) for n in self.given[name][0].reshape(-1)] if name in self.given else list(default)

    def integer(self, name: str, default: int) -> int:
        """An integer."""
        return self.ints(name, [default])[0]

    def flag(self, name: str, default: bool = False) -> bool:
        """A Boolean."""
        return bool(self.given[name][0]) if name in self.given else default

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        return str(self.given[name][0]) if name in self.given else default

    def padding(self) -> list[int]:
        """(top, bottom, left, right) of a sliding window."""
        kind = self.text("pad_type", "custom")
        if kind not in {"custom", "valid"}:
            raise self.refuse(f"pad_type {kind!r}")
        return self.ints("pad", (0, 0, 0, 0)) if kind == "custom" else [0, 0, 0, 0]

    def refuse(self, why: str) -> UnsupportedOperator:
        """The error for an operation that cannot be evaluated, with the reason."""
        return UnsupportedOperator("milref", self.operation.type, self.operation.result.name, why)


Rule = Callable[[Arguments], "Tensor"]
