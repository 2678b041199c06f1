"""An archive screened by a Ray cluster: Ray Data plans, spreads and repeats the work.

Every actor holds one Screener of one thread. Weights travel through Ray's object store, so that
nodes need the installed package and nothing else; files are read where they are judged.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mel_demo import outputs, rows
from mel_demo.batch import Tally
from mel_demo.errors import MelDemoError, SettingError
from mel_demo.hub import locate
from mel_demo.images import MAX_BYTES, SUFFIXES, read_image
from mel_demo.manifest import FILE_NAME, load_manifest
from mel_demo.rows import COLUMNS, Sheet
from mel_demo.screening import Screener

_IMAGES_PER_BATCH = 16
_NAMES = ("path", "file_name", "image_id", "isic_id", "id", "__key__")
"""Columns that may name an image of a Parquet file or a WebDataset, the best one first."""


def screen(
    address: str, sources: Sequence[str], output: str, weights: str | None, target: float
) -> Tally:
    """Screen images, or Parquet files or WebDatasets of them, into Parquet parts in ``output``.

    ``address``: of Ray, "auto", "local" or host:port. ``sources``: files and folders, local or URIs
    that pyarrow or fsspec can read. An image that cannot be judged is a row with its error; what a
    lost node was about is done again by another. Raises SettingError, ManifestError, WeightsError.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingError(
            "--ray needs the package ray: `pip install 'mel-demo[ray]'`, here and on every node."
        ) from error
    folder = locate(weights).folder
    manifest = load_manifest(folder)
    Sheet(manifest, target)  # refuses what does not fit, before a cluster is bothered
    filesystem, place = _filesystem(output)
    if _files(filesystem, place):
        raise SettingError(f"{output} is not empty. Name a new folder.")
    listed = [(source, *_filesystem(source)) for source in sources]
    try:
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SettingError(f"No Ray cluster answers at {address!r} ({error}).") from error
    names = [FILE_NAME, *(spec.file for spec in manifest.models.values())]
    held = ray.put({name: (folder / name).read_bytes() for name in names})
    data = None
    for source, found, path in listed:
        part = _dataset(ray.data, source, found, path)
        data = part if data is None else data.union(part)
    if data is None:
        raise SettingError("No image was named.")
    data.map_batches(
        Judge,
        fn_constructor_args=(held, target),
        batch_format="pyarrow",
        batch_size=_IMAGES_PER_BATCH,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=_cores(ray)),
        num_cpus=1,
    ).write_parquet(place, filesystem=filesystem)
    return _tally(filesystem, place)


class Judge:
    """One actor: a batch of paths or of bytes to a batch of rows."""

    def __init__(self, weights: Any, target: float) -> None:
        import ray

        with tempfile.TemporaryDirectory() as folder:
            for name, data in ray.get(weights).items():
                (Path(folder) / name).write_bytes(data)
            self.screener = Screener(Path(folder), threads=1)
        self.sheet = Sheet(self.screener.manifest, target)

    def __call__(self, batch: Any) -> Any:
        """Rows of ``rows.COLUMNS`` as a pyarrow.Table."""
        judged: list[rows.Row] = []
        for item in batch.to_pylist():
            name = "?"
            try:
                name, data = _image_of(item)
                judged += self.sheet.judged(name, self.screener.screen(*read_image(data)))
            except (MelDemoError, OSError, MemoryError) as error:
                judged += self.sheet.failed(name, str(error) or type(error).__name__)
        return outputs.table(judged)


def _dataset(reading: Any, source: str, filesystem: Any, path: str) -> Any:
    files = _files(filesystem, path)
    if not files:
        raise SettingError(f"{source} does not exist, or holds nothing.")
    for suffix, read in (
        (".parquet", reading.read_parquet),
        (".tar", lambda names, **more: reading.read_webdataset(names, decoder=None, **more)),
    ):
        chosen = [file for file in files if file.lower().endswith(suffix)]
        if chosen:
            return read(chosen, filesystem=filesystem)
    # Not Ray's own search of a folder: it leaves out _DSC1234.JPG, and asks for every file's size.
    return reading.from_items(
        [{"_file": file, "_at": _root(source)} for file in files],
        override_num_blocks=max(1, min(len(files) // _IMAGES_PER_BATCH, 10_000)),
    )


def _image_of(item: dict[str, Any]) -> tuple[str, bytes]:
    """Name and bytes of one image of any of the three kinds."""
    if "_file" in item:
        filesystem, _ = _filesystem(item["_at"])
        with filesystem.open_input_file(item["_file"]) as file:
            data = file.read(MAX_BYTES + 1)  # one more, for the limit to be noticed
        return item["_file"], data
    values = {**item, **(item["image"] if isinstance(item.get("image"), dict) else {})}
    name = next((str(values[key]) for key in _NAMES if values.get(key)), "?")
    for key in ("bytes", "image", *(suffix.removeprefix(".") for suffix in SUFFIXES)):
        if isinstance(values.get(key), bytes):
            return name, values[key]
    raise SettingError(
        f"Its row has no image: looked for bytes in the columns 'image', 'bytes' and those named "
        f"like a format; it has {', '.join(map(str, item))}."
    )


def _filesystem(uri: str) -> tuple[Any, str]:
    from pyarrow import ArrowInvalid, fs

    if "://" not in uri:
        return fs.LocalFileSystem(), str(Path(uri).absolute())
    try:
        return fs.FileSystem.from_uri(uri)
    except (ArrowInvalid, OSError, ValueError, ImportError) as error:
        raise SettingError(f"{uri} cannot be read ({error}).") from error


def _root(source: str) -> str:
    """What opens the same file system on another node."""
    return source if "://" in source else "file:///"


def _files(filesystem: Any, path: str) -> list[str]:
    from pyarrow import fs

    info = filesystem.get_file_info(path)
    if info.type is fs.FileType.File:
        return [path]
    selector = fs.FileSelector(path, recursive=True, allow_not_found=True)
    found = (item for item in filesystem.get_file_info(selector) if item.type is fs.FileType.File)
    return sorted(item.path for item in found if not item.base_name.startswith("."))


def _cores(ray: Any) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _tally(filesystem: Any, place: str) -> Tally:
    from pyarrow import dataset

    tally = Tally()
    for row in _first_rows(dataset.dataset(place, filesystem=filesystem, format="parquet")):
        tally.add([row])
    return tally


def _first_rows(table: Any) -> Iterator[rows.Row]:
    """One row an image: a judged image's rows come as one, with the same first model."""
    first: str | None = None
    for batch in table.to_batches(columns=[name for name in COLUMNS if name in _TALLIED]):
        for row in batch.to_pylist():
            first = first or row["model"]
            if row["model"] in (None, first):
                yield row


_TALLIED = ("model", "error", "refused")
