"""The types of manifest.json's values, and the words that refuse what does not fit them.

Every refusal names the key path, the value and the way out. Knows JSON and pydantic; it does not
know what the keys mean.
"""

import functools
import operator
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, GetPydanticSchema, PlainSerializer
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

# JSON's own types alone: no text for a number, no true for 1. Unknown keys pass, since a later
# version may add some without a new format.
CONFIG = ConfigDict(strict=True)


def refused_as(words: str) -> GetPydanticSchema:
    """One refusal in ``words`` ("7 is not a non-empty text") for all that a type may refuse."""
    return GetPydanticSchema(
        lambda source, handler: core_schema.custom_error_schema(
            handler(source), "wanted", custom_error_message=words
        )
    )


def refuse(wanted: str, *at: str | int) -> PydanticCustomError:
    """The value that is validated, or the one ``at`` these keys in it, is not ``wanted``."""
    return PydanticCustomError("wanted", "{wanted}", {"wanted": wanted, "at": at})


def absent(*at: str | int) -> PydanticCustomError:
    """The key ``at`` these keys in the value that is validated is missing."""
    return PydanticCustomError("missing", "missing", {"at": at})


def say(text: str) -> PydanticCustomError:
    """A refusal in other words: ``text`` follows the key's path."""
    return PydanticCustomError("says", "{text}", {"text": text})


def optional() -> Any:
    """None where the file has no such key; written without it."""
    return Field(default=None, exclude_if=lambda value: value is None)


def digits(count: int) -> PlainSerializer:
    """Written with so many digits: far below any interval's width, and readable."""
    return PlainSerializer(lambda value: round(value, count), return_type=float)


Text = Annotated[str, Field(min_length=1), refused_as("a non-empty text")]
Sha256 = Annotated[
    str, Field(pattern="^[0-9a-f]{64}$"), refused_as("64 hexadecimal digits in lower case")
]
Count = Annotated[int, Field(ge=0), refused_as("an integer of at least 0")]
Positive = Annotated[int, Field(ge=1), refused_as("an integer of at least 1")]
Number = Annotated[float, Field(allow_inf_nan=False), refused_as("a finite number")]
NotNegative = Annotated[
    float, Field(ge=0, allow_inf_nan=False), refused_as("a finite number from 0")
]
# Thresholds and what else is compared stays unrounded: JSON gives the same floats back, so that a
# melanoma which set a threshold is referred by it.
Probability = Annotated[
    float, Field(ge=0, le=1, allow_inf_nan=False), refused_as("a finite number from 0 to 1")
]
Share = Annotated[Probability, digits(6)]


def ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if not values or any(after < before for before, after in pairwise(values)):
        raise refuse("a list of numbers from 0 to 1 in ascending order")
    return values


Ascending = Annotated[tuple[Probability, ...], AfterValidator(ascending)]


def refusal(error: ErrorDetails) -> str:
    """The first thing that does not fit: where, the value, what was wanted and the way out."""
    at = error.get("ctx", {}).get("at", ())
    path = ""
    for part in (*error["loc"], *at):
        if part != "[key]":  # pydantic's mark of a key that does not fit
            path += f"[{part}]" if isinstance(part, int) else f".{part}"
    path = path.removeprefix(".") or "the file"
    if error["type"] == "says":
        return f"{path}: {error['msg']}"
    if error["type"] == "missing":
        return (
            f"{path}: the key is missing. Export the manifest again (`python -m training export`), "
            "or use weights made for this version."
        )
    shown = repr(functools.reduce(operator.getitem, at, error["input"]))
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    wanted = _JSON_TYPES.get(error["type"], error["msg"])
    return (
        f"{path}: {shown} is not {wanted}. Export the manifest again (`python -m training "
        "export`); it is not edited by hand."
    )


_JSON_TYPES = {
    "dataclass_type": "an object",
    "dict_type": "an object",
    "tuple_type": "a list",
    "bool_type": "true or false",
}
