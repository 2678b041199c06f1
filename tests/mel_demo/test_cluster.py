"""`mel-demo screen --ray` on a real cluster of two nodes on this machine, one of them killed.

What needs the cluster runs where Ray is installed, `pip install -e ".[ray]"`: it takes minutes.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mel_demo import archive, batch, cluster as of_ray, outputs, rows
from mel_demo.batch import LeftOut
from mel_demo.cli import app
from mel_demo.errors import ImageError
from mel_demo.outputs import Finished, Format
from mel_demo.rows import Row, Sheet
from mel_demo.screening import Screener
from tests.support.running import ROOT
from tests.support.shards import png, write_parquet, write_tar

NODE = {"num_cpus": 1, "object_store_memory": 200_000_000, "include_dashboard": False}
PATIENCE = 200
"""Seconds."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    # A node counts as dead after half a minute otherwise.
    soon = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    started = Cluster(initialize_head=True, head_node_args=NODE | {"_system_config": soon})
    yield started
    started.shutdown()


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mel_demo", "screen", *map(str, arguments)]


def read(table: Path) -> list[Row]:
    lines = table.read_bytes().splitlines(keepends=True)[1:]
    return [rows.from_csv(line) for line in lines]


def as_set(found: Sequence[Row]) -> Counter[str]:
    return Counter(str(row) for row in found)


def write_archives(tmp_path: Path) -> tuple[Path, list[tuple[str, batch.Source]]]:
    """A folder with a shard of each kind, and what they hold by name."""
    archives = tmp_path / "archives"
    archives.mkdir()
    sources: list[tuple[str, batch.Source]] = []
    with (archives / "a.tar").open("wb") as file:
        write_tar(file, {f"{number}.png": png(number) for number in range(30)} | {"x.jpg": b"?"})
    sources += [(f"{archives}/a.tar/{number}.png", png(number)) for number in range(30)]
    sources += [(f"{archives}/a.tar/x.jpg", b"?")]
    write_parquet(archives / "b.parquet", [png(number) for number in range(30, 60)], as_hub=True)
    sources += [(f"{archives}/b.parquet/{number}.png", png(30 + number)) for number in range(30)]
    return archives, sources


def test_an_actor_judges_as_this_machine_does(
    tiny_weights: Path,
    tiny_screener: Screener,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without Ray: what it calls, with the tables that it hands over."""
    import pyarrow

    archives, sources = write_archives(tmp_path)
    (archives / "c.png").write_bytes(png(7))
    sources.append((f"{archives}/c.png", archives / "c.png"))
    items = list(archive.find([str(archives)], LeftOut()))
    table = pyarrow.Table.from_pylist([vars(item) for item in items])
    monkeypatch.chdir(tiny_weights)  # where an actor finds itself
    judge = of_ray._Judge(0.95, [], Finished([sources[0][0]]))
    parts = [judge(images).column("rows").to_pylist() for images in of_ray._unpacked(table)]
    expected = batch.judge(tiny_screener, Sheet(tiny_screener.manifest, 0.95), sources[1:])
    assert [found for part in parts for found in part] == expected


def test_a_node_that_dies_costs_nothing_but_time(
    cluster: Any, tiny_weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(600):
        (folder / f"{number:03}.png").write_bytes(png(number))
    (folder / "bad.jpg").write_bytes(b"no image")
    (folder / "notes.txt").touch()
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    table = tmp_path / "there.csv"
    doomed = cluster.add_node(**NODE)
    with subprocess.Popen(
        command(folder, "--ray", cluster.address, "--output", table, "--weights", tiny_weights),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as screening:
        deadline = time.monotonic() + PATIENCE
        try:
            while not (table.exists() and len(table.read_bytes().splitlines()) > 1):
                assert screening.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            cluster.remove_node(doomed, allow_graceful=False)
            before = len(table.read_bytes().splitlines())
            _, said = screening.communicate(timeout=PATIENCE)
        finally:
            screening.kill()
    assert before < 1200, "the node died too late to show anything"
    assert screening.returncode == 1, said
    assert "Left out: 1 files not named like an image (.txt 1)." in said
    assert "2 of 602 files could not be judged: see the column 'error'." in said
    here = tmp_path / "here.csv"
    done = subprocess.run(
        command(folder, "--output", here, "--weights", tiny_weights), cwd=ROOT, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert as_set(read(table)) == as_set(read(here))


def test_archives_are_screened_as_their_files_would_be_and_gone_on_with(
    cluster: Any, tiny_weights: Path, tmp_path: Path
) -> None:
    archives, sources = write_archives(tmp_path)
    (archives / "c.tar").write_bytes(b"no archive")
    output = archives / "scores.parquet"  # its parts are no archives
    before = [(name, source) for name, source in sources if name.endswith("/1.png")]
    screener = Screener(tiny_weights, threads=1, models=["student"])
    sheet = Sheet(screener.manifest, 0.95, ["student"])
    with outputs.opened(output, Format.PARQUET) as table:
        for found in batch.judge(screener, sheet, before):
            table.add(found)
    options = ("--output", output, "--weights", tiny_weights, "--model", "student")
    done = subprocess.run(
        command(archives, *options, "--ray", cluster.address, "--resume"),
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    assert "2 images were in the table already, 60 were added." in done.stderr
    from pyarrow import parquet

    rows_there = parquet.read_table(output).to_pylist()
    (broken,) = (row for row in rows_there if row["image"].endswith("c.tar"))
    assert "The archive cannot be read" in broken["error"]
    sources.append((broken["image"], ImageError(broken["error"])))
    expected = batch.judge(screener, sheet, sources)
    assert as_set(rows_there) == as_set([row for of_one in expected for row in of_one])


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_is_not_there_is_said_at_once(
    tiny_weights: Path, tmp_path: Path, address: str
) -> None:
    pytest.importorskip("ray")
    (tmp_path / "a.png").write_bytes(png(0))
    done = subprocess.run(
        command(tmp_path, "--ray", address, "-o", tmp_path / "x.csv", "--weights", tiny_weights),
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"No Ray cluster can be reached at {address}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x.csv").exists()


def test_without_ray_it_is_said_what_to_install(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0))
    without = tmp_path / "without"
    without.mkdir()
    (without / "ray.py").write_text("raise ImportError('No module named ray')")
    done = subprocess.run(
        command(tmp_path, "--ray", "auto", "-o", tmp_path / "x.csv", "--weights", tiny_weights),
        cwd=ROOT, capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHONPATH": f"{without}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install -e '.[ray]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_are_not_mixed_with_what_ray_prints(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["screen", str(tmp_path), "--ray", "auto"])
    assert done.exit_code == 2
    assert "--ray needs --output" in done.stderr
