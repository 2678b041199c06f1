"""Archives of small images, as WebDataset and as Parquet."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from PIL import Image


def png(number: int) -> bytes:
    """An image of which no two numbers below 256 have the same."""
    file = io.BytesIO()
    Image.new("RGB", (200, 150), (number % 256, 3 * number % 256, 90)).save(file, "PNG")
    return file.getvalue()


def write_tar(file: BinaryIO, members: Mapping[str, bytes]) -> None:
    """A WebDataset shard."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_parquet(path: Path, images: Sequence[bytes | None], as_hub: bool) -> None:
    """A Parquet shard of a few row groups; ``as_hub``: with a path beside each image."""
    import pyarrow
    from pyarrow import parquet

    cells: list[object] = [*images]
    if as_hub:
        cells = [{"bytes": image, "path": f"{at}.png"} for at, image in enumerate(images)]
    table = pyarrow.table({"label": [0] * len(images), "image": cells})
    parquet.write_table(table, path, row_group_size=10)
