"""Many images on a Ray cluster: ``mel-demo screen --ray ADDRESS``.

Ray Data moves the work: each of its actors holds one Screener and judges as ``batch`` does, and
what a node had under way when it died is judged on another. Rows come back to who asked.
"""

import itertools
import logging
import os
import signal
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mel_demo
from mel_demo import archive, batch, hub
from mel_demo.archive import Item
from mel_demo.batch import GROUP, Source
from mel_demo.errors import ImageError, SettingError
from mel_demo.manifest import Manifest, load_manifest
from mel_demo.outputs import Finished
from mel_demo.rows import Row, Sheet, schema
from mel_demo.screening import Screener

if TYPE_CHECKING:
    import pyarrow

BLOCK = 96
"""Images that each core of a lost node has to give back at most: some seconds of work."""
_BATCH = 32
"""Images out of archives that an actor holds at once."""
_BLOCKS = 8
"""Blocks for each core where images are few, so that all cores end at about one time."""
_CONNECT_SECONDS = 10
_AHEAD = 2
"""Threads of an actor: one fetches and decodes while the other's models run."""


@contextmanager
def joined(address: str, weights: str | None) -> Iterator[Manifest]:
    """The Ray cluster at ``address``, to call ``judged`` in; the manifest of what it will judge by.

    ``address``: "HOST:PORT" of its head, or "auto" on one of its machines. All nodes get this
    program's code and weights from here; its packages and Ray they must have. Raises SettingError
    where Ray is not installed, where nothing answers within a minute, and where the cluster fails.
    """
    # Ray would try twenty times to reach what answers otherwise, for 40 seconds each.
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingError(
            "--ray needs the package Ray: `pip install -e '.[ray]'` in a clone of mel_demo, here "
            "and on every node."
        ) from error
    folder = hub.locate(weights).folder
    manifest = load_manifest(folder)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        code = str(Path(mel_demo.__file__).parent)
        ray.init(
            address,
            runtime_env={"working_dir": str(folder), "py_modules": [code]},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingError(
            f"No Ray cluster can be reached at {address} ({_last_line(error)}). Start one by `ray "
            "start --head`, and name HOST:PORT as it says."
        ) from error
    finally:
        signal.signal(signal.SIGTERM, terminate)  # Ray puts its own there
    try:
        yield manifest
    except ray.exceptions.RayError as error:
        raise SettingError(
            f"The cluster cannot go on ({_last_line(error)}). What was written stays, and --resume "
            "goes on with it."
        ) from error
    finally:
        ray.shutdown()


def judged(
    items: Sequence[Item],
    target: float,
    models: Sequence[str],
    done: Finished,
    workers: int | None,
) -> Generator[list[Row], None, None]:
    """The rows of every image that ``done`` does not hold, in any order.

    ``models``: as in ``Manifest.chosen``.
    ``workers``: at most so many actors, each of one core; by default as many as there are cores.
    """
    import pyarrow
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    size = min(BLOCK, ceil(len(items) / (workers * _BLOCKS)))
    table = pyarrow.Table.from_pylist([vars(item) for item in items])
    images: Any = ray.data.from_arrow([table.slice(at, size) for at in range(0, len(items), size)])
    if any(item.is_shard for item in items):
        # It waits for storage, and must not wait for a core that an actor has.
        images = images.map_batches(
            _unpacked, batch_size=1, batch_format="pyarrow", zero_copy_batch=True, num_cpus=0
        )
    found = images.map_batches(
        _Judge,
        fn_constructor_args=(target, models, done),
        batch_size=_BATCH,
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
        num_cpus=1,
    )
    for part in found.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield from part.column("rows").to_pylist()


def _knock(address: str) -> None:
    """OSError where HOST:PORT lets nobody in: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "://" not in host:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1][:300] if lines else type(error).__name__


def _unpacked(shards: "pyarrow.Table") -> "Iterator[pyarrow.Table]":
    """Shards as tables of their images; single images as they are."""
    import pyarrow

    text, content = pyarrow.string(), pyarrow.binary()
    kinds = {"name": text, "root": text, "path": text, "content": content, "error": text}
    schema = pyarrow.schema(list(kinds.items()))
    for row in shards.to_pylist():
        item = Item(**row)
        within = archive.members(item) if item.is_shard else iter([(item.name, None)])
        while some := list(itertools.islice(within, GROUP)):
            lines = [
                row
                | {
                    "name": name,
                    "content": source if isinstance(source, bytes) else None,
                    "error": str(source) if isinstance(source, ImageError) else None,
                }
                for name, source in some
            ]
            yield pyarrow.Table.from_pylist(lines, schema)


class _Judge:
    """An actor's work: tables of images to tables of their rows, one image a line."""

    def __init__(self, target: float, models: Sequence[str], done: Finished) -> None:
        # The working directory is that of ``joined``.
        self._screener = Screener(Path.cwd(), threads=1, models=models)
        self._sheet = Sheet(self._screener.manifest, target, models)
        self._done = done

    def __call__(self, images: "pyarrow.Table") -> "pyarrow.Table":
        import pyarrow

        left = [image for image in images.to_pylist() if image["name"] not in self._done]
        found = list(batch.in_order(self._judged, left, _AHEAD))
        kind = pyarrow.list_(pyarrow.struct(list(schema())))
        return pyarrow.table({"rows": pyarrow.array(found, kind)})

    def _judged(self, images: Sequence[dict[str, Any]]) -> list[list[Row]]:
        sources = [(image["name"], _source(**image)) for image in images]
        return batch.judge(self._screener, self._sheet, sources)


def _source(
    name: str, root: str, path: str, content: bytes | None = None, error: str | None = None
) -> Source:
    if error is not None:
        return ImageError(error)
    return archive.read(Item(name, root, path)) if content is None else content
