"""An archive on a real Ray cluster of two nodes on this machine; one of them is killed midway."""

import io
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mel_demo import cluster
from mel_demo.errors import SettingError
from mel_demo.rows import COLUMNS

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

from pyarrow import dataset, fs, parquet, table  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

NODE = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "node_ip_address": "127.0.0.1",
}


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Cluster, Any]]:
    """The cluster, and the node that may die."""
    started = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        yield started, started.add_node(**NODE)
    finally:
        ray.shutdown()
        started.shutdown()


def png(level: int) -> bytes:
    Image.new("RGB", (160, 160), (level % 256, 100, 60)).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def written(output: Path) -> list[dict[str, Any]]:
    rows = dataset.dataset(str(output), format="parquet").to_table().to_pylist()
    assert all(list(row) == list(COLUMNS) for row in rows)
    return rows


def test_parquet_and_webdataset_bring_their_names(
    nodes: tuple[Cluster, Any], tmp_path: Path, tiny_weights: Path
) -> None:
    images = [{"path": f"{name}.png", "bytes": png(9)} for name in "ab"]
    images.append({"path": "broken.png", "bytes": b"none"})
    parquet.write_table(table({"image": images}), tmp_path / "photos.parquet")
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        member = tarfile.TarInfo("c.png")
        member.size = len(png(9))
        tar.addfile(member, io.BytesIO(png(9)))
    sources = [str(tmp_path / "photos.parquet"), str(tmp_path / "photos.tar")]
    output = tmp_path / "scores"
    tally = cluster.screen(nodes[0].address, sources, str(output), str(tiny_weights), 0.95)
    assert (tally.images, tally.failed) == (4, 1)
    names = sorted((row["image"], row["model"]) for row in written(output) if row["model"])
    assert names == [
        (name, model) for name in ("a.png", "b.png", "c") for model in ("student", "teacher")
    ]
    (bad,) = [row for row in written(output) if row["error"]]
    assert bad["image"] == "broken.png"
    with pytest.raises(SettingError, match="is not empty"):
        cluster.screen(nodes[0].address, sources, str(output), str(tiny_weights), 0.95)


def test_a_node_that_dies_costs_no_row_and_doubles_none(
    nodes: tuple[Cluster, Any], tmp_path: Path, tiny_weights: Path
) -> None:
    photos, output = tmp_path / "photos", tmp_path / "scores"
    (photos / "deep").mkdir(parents=True)
    for number in range(1500):
        (photos / ("deep" if number % 2 else "") / f"_{number}.png").write_bytes(png(number))
    (photos / "broken.jpg").write_bytes(b"none")
    (photos / "notes.txt").write_text("no image")
    started, mortal = nodes
    killed = threading.Event()

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if output.exists() and any(output.glob("*.parquet")):
                started.remove_node(mortal, allow_graceful=False)
                killed.set()
                return
            time.sleep(0.02)

    watching = threading.Thread(target=kill)
    watching.start()
    tally = cluster.screen(started.address, [str(photos)], str(output), str(tiny_weights), 0.95)
    watching.join()
    assert killed.is_set()
    assert (tally.images, tally.failed) == (1502, 2)
    rows = written(output)
    assert len({(row["image"], row["model"]) for row in rows}) == len(rows) == 2 * 1500 + 2
    assert {row["image"] for row in rows if row["error"]} == {
        str(photos / "broken.jpg"),
        str(photos / "notes.txt"),
    }


def test_an_address_where_no_cluster_is_and_a_source_that_is_not(
    tmp_path: Path, tiny_weights: Path
) -> None:
    with pytest.raises(SettingError, match="does not exist, or holds nothing"):
        cluster.screen("auto", [str(tmp_path / "no")], str(tmp_path / "o"), str(tiny_weights), 0.95)


def test_a_bucket_is_read_like_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As pyarrow opens it: here its file system in memory stands for the cloud's."""
    (tmp_path / "a.png").write_bytes(png(3))
    bucket = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(cluster, "_filesystem", lambda uri: (bucket, uri.partition("//")[2]))
    assert cluster._image_of({"_file": "a.png", "_at": "s3://bucket"}) == ("a.png", png(3))
