"""One screening as rows of a table, one a model; rows as lines of CSV or JSON, and back, and as a
table of pyarrow.

Every cell is a text, a number, a flag, or None where there is nothing to say. Knows no file:
``outputs`` writes, ``batch`` screens.
"""

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from mel_demo.decision import operating_point, verdict
from mel_demo.errors import SettingError
from mel_demo.manifest import CLASS_NAMES, Manifest
from mel_demo.screening import Screening

COLUMNS: Mapping[str, type] = {
    "image": str,
    "model": str,
    "melanoma_probability": float,
    "threshold": float,
    "decision": str,
    "close_call": bool,
    "leading_diagnosis": str,
    "refused": bool,
    "findings": str,
    "error": str,
    **dict.fromkeys(CLASS_NAMES, float),
    "target_sensitivity": float,
    "weights": str,
}
"""Names and types. ``decision`` and ``close_call`` are None where ``refused``; all but ``image``,
``error``, ``target_sensitivity`` and ``weights`` are None where the image cannot be judged."""
REFER, NO_REFERRAL = "refer", "no referral"

Row = dict[str, Any]

# What spreadsheets take for a formula, the full-width signs too (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_GUARD = "'"


class Sheet:
    """What all rows of one table share: weights, target sensitivity, and models, as in
    ``Manifest.chosen``. SettingError where the target or the models cannot be."""

    def __init__(
        self, manifest: Manifest, target_sensitivity: float, models: Collection[str] = ()
    ) -> None:
        self.models = manifest.chosen(models)
        self.weights = manifest.version
        self.target = _rounded(operating_point.check_target(target_sensitivity))
        self.points = {
            key: operating_point.choose(spec.operating_table, self.target)
            for key, spec in self.models.items()
        }

    def judged(self, image: str, screening: Screening) -> list[Row]:
        """One row per model."""
        rows = []
        for key, prediction in screening.predictions.items():
            point = self.points[key]
            said = verdict.call(prediction.probabilities, "melanoma", point)
            by_class = zip(CLASS_NAMES, prediction.probabilities, strict=True)
            rows.append(
                self._row(image)
                | {name: _rounded(value) for name, value in by_class}
                | {
                    "model": key,
                    "melanoma_probability": _rounded(said.probability),
                    "threshold": _rounded(point.threshold),
                    "decision": REFER if said.refer else NO_REFERRAL,
                    "close_call": said.close,
                    "leading_diagnosis": CLASS_NAMES[said.leading],
                    "refused": screening.refused,
                    "findings": " ".join(finding.code for finding in screening.findings) or None,
                }
                | (dict.fromkeys(("decision", "close_call")) if screening.refused else {})
            )
        return rows

    def failed(self, image: str, error: str) -> list[Row]:
        """The one row of what cannot be judged."""
        return [self._row(image) | {"error": error}]

    def whole(self, rows: Sequence[Row]) -> bool:
        """Whether these are all rows of one image."""
        return rows[-1]["error"] is not None or len(rows) == len(self.models)

    def check(self, row: Row) -> None:
        """SettingError where a row was not written with these weights, models and this target, and
        the thresholds that they give: a manifest may be calibrated anew beside the same models."""
        wanted = [("weights", self.weights), ("target_sensitivity", self.target)]
        if row["error"] is None:
            if row["model"] not in self.points:
                raise SettingError(
                    f"It holds {row['model']} as well as {', '.join(self.points)}. Go on with the "
                    "--model it was written with, or name another output."
                )
            wanted.append(("threshold", _rounded(self.points[row["model"]].threshold)))
        for name, want in wanted:
            have = row[name]
            if have != want:
                raise SettingError(
                    f"It was written with {name} {have}, and not {want}. Go on with what it was "
                    "written with, or name another output."
                )

    def _row(self, image: str) -> Row:
        shared = {"image": image, "target_sensitivity": self.target, "weights": self.weights}
        return dict.fromkeys(COLUMNS) | shared


def csv_header() -> bytes:
    """The first line of a CSV file."""
    return (",".join(COLUMNS) + "\n").encode()


def to_csv(row: Row) -> bytes:
    """A line of CSV in UTF-8 that no spreadsheet takes for a formula.

    A text that begins like one, or with an apostrophe, gets an apostrophe before it, so that
    taking one leading apostrophe off every text gives back what was there.
    """
    return csv_line(row[name] for name in COLUMNS)


def csv_line(values: Iterable[Any]) -> bytes:
    """``to_csv`` of any values: texts, numbers, flags, or None for an empty cell."""
    line = io.StringIO()
    # This ending lets the writer quote a lone carriage return, too, which readers take for one.
    csv.writer(line, lineterminator="\r\n").writerow(map(_cell, values))
    return line.getvalue().removesuffix("\r\n").encode() + b"\n"


def from_csv(line: bytes) -> Row:
    """The row that ``to_csv`` wrote; ValueError when it wrote no such line."""
    cells = next(csv.reader(io.StringIO(line.decode(), newline="")), [])
    pairs = zip(COLUMNS.items(), cells, strict=True)
    return {name: _value(kind, text) for (name, kind), text in pairs}


def to_json(row: Row) -> bytes:
    """A line of JSON in ASCII."""
    return (json.dumps(row) + "\n").encode()


def from_json(line: bytes) -> Row:
    """The row that ``to_json`` wrote; ValueError when it wrote no such line."""
    row = json.loads(line)
    if not isinstance(row, dict) or list(row) != list(COLUMNS):
        raise ValueError("other columns")
    return row


def schema() -> Any:
    """Of a row, as a pyarrow.Schema."""
    import pyarrow

    types = {str: pyarrow.string(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    return pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


def to_table(found: list[Row]) -> Any:
    """Rows as a pyarrow.Table."""
    import pyarrow

    return pyarrow.Table.from_pylist(found, schema())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value or ""
    return _GUARD + text if text.startswith((*_FORMULA, _GUARD)) else text


def _value(kind: type, text: str) -> Any:
    if not text:
        return None
    if kind is bool:
        return bool(("false", "true").index(text))
    return float(text) if kind is float else text.removeprefix(_GUARD)


def _rounded(value: float) -> float:
    """Six significant digits: more are noise, and the same in every format."""
    return float(f"{value:.6g}")
