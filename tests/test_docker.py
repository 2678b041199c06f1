"""The Dockerfile without a Docker engine: the files it copies, served as it says, are enough."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from mel_demo.images import open_image
from mel_demo.phone import serve
from mel_demo.screening import Screener
from tests.support.running import running_app
from tests.support.slim import slim_python

ROOT = Path(__file__).resolve().parents[1]
DRAWING = ROOT / "mel_demo/ui/examples/nevus.jpg"
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def instructions(name: str) -> list[str]:
    return [line[len(name) :].strip() for line in LINES if line.startswith(f"{name} ")]


@pytest.fixture(scope="module")
def slim(tmp_path_factory) -> tuple[str, int]:
    return slim_python(tmp_path_factory.mktemp("slim"))


@pytest.fixture
def tree(tmp_path) -> Path:
    """What COPY brings into the image, less .dockerignore; nobody may write to it."""
    folder = tmp_path / "app"
    folder.mkdir()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    ignored = [line.removeprefix("**/") for line in lines if line and not line.startswith("#")]
    for instruction in instructions("COPY"):
        *sources, target = shlex.split(instruction)
        if sources[0].startswith("--from="):  # made by another stage
            continue
        for source in sources:
            if (ROOT / source).is_dir():
                skip = shutil.ignore_patterns(*ignored)
                shutil.copytree(ROOT / source, folder / target, ignore=skip, dirs_exist_ok=True)
            else:
                shutil.copy(ROOT / source, folder / target)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """ENV of the Dockerfile, with another /tmp and without the port, which tests choose."""
    pairs = dict(pair.split("=", 1) for pair in shlex.split(" ".join(instructions("ENV"))))
    pairs.pop("GRADIO_SERVER_PORT")
    for name, value in pairs.items():
        if value.startswith("/tmp"):
            pairs[name] = str(tmp_path / "tmp") + value.removeprefix("/tmp")
    return pairs | {"MEL_WEIGHTS": ""}


def test_the_image_has_the_readers_of_phones_and_archives():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (install,) = (line for line in instructions("RUN") if "requirements.txt" in line)
    for extra in ("heif", "dicom"):
        assert set(project["optional-dependencies"][extra]) <= set(shlex.split(install))


def listing(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_what_the_image_copies_is_enough_to_serve(tree, slim, environment, tmp_path):
    python, size = slim
    (tmp_path / "tmp").mkdir()
    before = listing(tree)
    cache = Path(environment["GRADIO_TEMP_DIR"])
    with running_app("", cache, tree, python, environment) as app:
        answer, *_ = Client(app.url, verbose=False).predict(
            handle_file(str(DRAWING)), 0.95, api_name="/screen"
        )
        check = json.loads(instructions("HEALTHCHECK")[0].partition("CMD")[2])
        port = app.url.rpartition(":")[2]
        healthy = subprocess.run(
            [python, *check[1:]], env=os.environ | {"GRADIO_SERVER_PORT": port}, timeout=30
        )
        assert healthy.returncode == 0
    assert listing(tree) == before, "the image's own files are never written to"
    expected = Screener(ROOT / "weights").screen(open_image(DRAWING)).teacher.melanoma_probability
    assert answer["models"]["teacher"]["melanoma_probability"] == pytest.approx(expected, abs=1e-5)
    files = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    # python:3.11-slim has 130 MB.
    assert size + files < 800e6


def test_the_phones_page_is_made_where_the_server_looks_for_it():
    made = re.search(r"-m mel_demo phone --output (\S+)", " ".join(LINES))[1]
    assert instructions("COPY")[-1] == f"--from=phone /app/{made} {made}"
    assert ROOT / made == serve.DEFAULT


def test_the_health_check_fails_where_nothing_answers(slim):
    check = json.loads(instructions("HEALTHCHECK")[0].partition("CMD")[2])
    environment = os.environ | {"GRADIO_SERVER_PORT": "1"}
    dead = subprocess.run(
        [slim[0], *check[1:]], env=environment, stderr=subprocess.DEVNULL, timeout=30
    )
    assert dead.returncode != 0


def test_the_image_holds_no_training_and_runs_as_nobody(slim, tree):
    done = subprocess.run(
        [slim[0], "-c", "import torch"], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert "No module named 'torch'" in done.stderr
    assert not (tree / "training").exists()
    assert not list(tree.rglob("__pycache__"))
    assert instructions("USER") == ["demo"]
    assert re.search(r"useradd .*--uid 1000", " ".join(LINES))


def test_nothing_local_reaches_the_build():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    for name in (".git", ".venv", "cache", "runs"):
        assert any(fnmatch.fnmatch(name, line) for line in lines), name


def test_killed_in_the_middle_of_a_request_it_starts_again(tree, slim, environment, tmp_path):
    (tmp_path / "tmp").mkdir()
    cache = Path(environment["GRADIO_TEMP_DIR"])
    with running_app("", cache, tree, slim[0], environment) as app:
        client = Client(app.url, verbose=False)
        jobs = [
            client.submit(handle_file(str(DRAWING)), 0.95, api_name="/screen") for _ in range(40)
        ]
        time.sleep(0.15)
        app.process.send_signal(signal.SIGKILL)
        app.process.wait(timeout=30)
    assert not all(job.done() and job.exception() is None for job in jobs), "killed too late"
    with running_app("", cache, tree, slim[0], environment) as app:
        answer, *_ = Client(app.url, verbose=False).predict(
            handle_file(str(DRAWING)), 0.95, api_name="/screen"
        )
    assert 0 < answer["models"]["teacher"]["melanoma_probability"] < 1
