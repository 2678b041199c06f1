"""Tables as people have them: CSV in whatever encoding and with whatever separator, as rows.

Saved by a spreadsheet, a table may have become UTF-16 or cp1252, have a byte order mark, or
semicolons or tabs for commas; none of that says anything of its content.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from training.errors import DataError
from training.files import write_text


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells, stripped, of every row; a cell that is absent is "".

    ``columns`` must be there, in any case and order, and are named as they are here; others keep
    their names. Raises FileNotFoundError, and DataError for a file that is no such table.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    text = _decoded(content)
    heading = text.partition("\n")[0]
    separator = max(",;\t", key=heading.count)
    # Strict, or a quote that nobody closed takes all rows below it into its cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    wanted = {column.lower(): column for column in columns}
    try:
        names = [wanted.get(name.strip().lower(), name.strip()) for name in next(reader, [])]
        if absent := [column for column in columns if column not in names]:
            raise DataError(
                f"{path} lacks the column(s) {', '.join(absent)}: it must have the columns "
                f"{','.join(columns)}, and has {','.join(names)[:200] or 'none'}."
            )
        return [
            (
                reader.line_num,
                dict(zip_longest(names, map(str.strip, cells[: len(names)]), fillvalue="")),
            )
            for cells in reader
            if any(map(str.strip, cells))
        ]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}, is no line of a table: {error}."
        ) from error


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write the rows as CSV below ``columns``, in one step.

    Raises DataError where ``path`` holds anything but a former table of these columns.
    """
    heading = ",".join(columns) + "\n"
    if path.is_file() and not path.read_bytes().startswith(heading.encode()):
        raise DataError(
            f"{path} is another file, which would be lost: remove it, or choose another --output."
        )
    text = io.StringIO(heading)
    text.seek(0, io.SEEK_END)
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def refuse_repeated(path: Path, image_ids: Sequence[str]) -> None:
    """DataError where an image is named twice: in two splits it would be learned and measured."""
    repeated = [image_id for image_id, count in Counter(image_ids).items() if count > 1]
    if repeated:
        raise DataError(f"{path} names {repeated[0]} more than once ({len(repeated)} such images).")


def _decoded(content: bytes) -> str:
    """Text by its byte order mark; without one, UTF-8, else cp1252 as spreadsheets write."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content[:200]:  # ASCII in two bytes each, and no mark
        return content.decode("utf-16-le" if content[:1] != b"\0" else "utf-16-be", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
