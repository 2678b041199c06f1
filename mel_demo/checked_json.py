"""JSON values that know their key path, so that every refusal can name it.

Knows the types of JSON and the manifest's way out; it does not know what the keys mean
(``manifest``).
"""

import math
import sys
from collections.abc import Iterator
from typing import Any

from mel_demo.errors import ManifestError


class Node:
    """A JSON value that knows its key path, so that every refusal can name it."""

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def refuse(self, wanted: str) -> ManifestError:
        shown = repr(self.value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return ManifestError(
            f"{self.path or 'the file'}: {shown} is not {wanted}. "
            "Export the manifest again (`python -m training export`); it is not edited by hand."
        )

    def mapping(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self.refuse("an object")
        return self.value

    def __getitem__(self, key: str) -> "Node":
        path = f"{self.path}.{key}" if self.path else key
        if key not in self.mapping():
            raise ManifestError(
                f"{path}: the key is missing. Export the manifest again "
                "(`python -m training export`), or use weights made for this version."
            )
        return Node(self.value[key], path)

    def items(self) -> Iterator[tuple[str, "Node"]]:
        return ((key, self[key]) for key in self.mapping())

    def elements(self, length: int | None = None) -> list["Node"]:
        if not isinstance(self.value, list) or (length is not None and len(self.value) != length):
            raise self.refuse("a list" + (f" of {length}" if length is not None else ""))
        return [Node(item, f"{self.path}[{index}]") for index, item in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.refuse("a non-empty text")
        return self.value

    def integer(self, low: int = 0) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < low:
            raise self.refuse(f"an integer of at least {low}")
        return self.value

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        fits = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        # json reads the literals NaN and Infinity, and integers no float holds: no measurements.
        if not fits or not abs(self.value) <= sys.float_info.max or not low <= self.value <= high:
            bounds = f" from {low:g}" if math.isfinite(low) else ""
            bounds += f" to {high:g}" if math.isfinite(high) else ""
            raise self.refuse(f"a finite number{bounds}")
        return float(self.value)
