"""HAM10000 from the Hub, where no folder is given: into the original layout, once.

Takes a data set that holds the original files, or one that holds them as Parquet with the columns
``image`` (encoded bytes), ``image_id``, ``lesion_id`` and ``dx``.
"""

import csv
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from rich.progress import track

from training.data.ham10000 import METADATA
from training.errors import DataError
from training.recipe import Source

_COLUMNS = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
_PATTERNS = ["*.parquet", METADATA, "HAM10000_images_part_*/*", "images/*"]


def download(source: Source, folder: Path) -> Path:
    """Fetch ``source`` and return the folder of the original layout below ``folder``.

    What was fetched before is not fetched again. Raises DataError when the Hub cannot be reached
    or holds something else.
    """
    target = folder / f"{source.repository.replace('/', '--')}-{source.revision[:12]}"
    if (target / METADATA).is_file():
        return target
    try:
        fetched = Path(
            snapshot_download(
                source.repository,
                repo_type="dataset",
                revision=source.revision,
                allow_patterns=_PATTERNS,
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"The data set {source.repository} could not be fetched from the Hub: {error}\n"
            "Give a folder in the original layout with --data, from "
            "https://doi.org/10.7910/DVN/DBW86T or https://www.isic-archive.com."
        ) from error
    tables = sorted(fetched.rglob("*.parquet"))
    if tables:
        _unpack(tables, target)
        return target
    if (fetched / METADATA).is_file():
        return fetched
    raise DataError(
        f"The data set {source.repository} holds neither {METADATA} nor Parquet files: "
        "name another one under `source` in the recipe."
    )


def _unpack(tables: list[Path], target: Path) -> None:
    """Write images and metadata; the metadata comes last, as the sign that all is there."""
    import pyarrow.parquet as parquet

    images = target / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict] = {}
    for table in track(tables, description="Unpacking"):
        file = parquet.ParquetFile(table)
        absent = {"image", *_COLUMNS[:3]} - set(file.schema_arrow.names)
        if absent:
            raise DataError(f"{table.name} lacks the column(s) {', '.join(sorted(absent))}.")
        for batch in file.iter_batches(batch_size=64):
            for row in batch.to_pylist():
                # Some published copies hold an image in several splits.
                if row["image_id"] not in rows:
                    (images / f"{row['image_id']}.jpg").write_bytes(row["image"]["bytes"])
                    rows[row["image_id"]] = {key: row.get(key) for key in _COLUMNS}
    temporary = target / (METADATA + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=_COLUMNS)
        writer.writeheader()
        writer.writerows(rows.values())
    temporary.replace(target / METADATA)
