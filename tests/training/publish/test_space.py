"""`training push-space`: what is deployed is whole, pinned, and serves what was trained."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from huggingface_hub import HfApi, RepoCard

from mel_demo.errors import WeightsError
from mel_demo.images import open_image
from mel_demo.screening import Screener
from tests.support.running import running_app
from tests.support.slim import slim_python
from tests.support.static_host import static_host
from tests.support.tiny_export import export_tiny
from tests.support.tiny_weights import write_tiny_weights
from training.errors import PublishError
from training.publish import space

ROOT = Path(__file__).resolve().parents[3]
DRAWING = ROOT / "mel_demo/ui/examples/irregular.jpg"
NAME = "me/demo"
REPOS = {"teacher": "me/teacher", "student": "me/student"}


def card(folder: Path) -> RepoCard:
    return RepoCard.load(folder / "README.md", ignore_metadata_errors=False)


def screened(url: str) -> dict:
    answer, *_ = Client(url, verbose=False).predict(
        handle_file(str(DRAWING)), 0.95, api_name="/screen"
    )
    return {key: model["melanoma_probability"] for key, model in answer["models"].items()}


def command(hub, home: Path, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "training", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | hub.environment(home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def loaded(url: str) -> str:
    """What the page is sent when a browser opens it."""
    config = Client(url, verbose=False).config
    footer = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "footer")
    event = next(event for event in config["dependencies"] if footer in event["outputs"])
    setting = ["en", 95, 2, "melanoma", "holdout"]
    question = {"fn_index": event["id"], "data": setting, "session_hash": "reader"}
    return httpx.post(f"{url}/gradio_api/run/predict", json=question, timeout=60).text


def test_the_whole_way_from_training_to_a_deployed_page(hub, tiny_training, tmp_path):
    """Train, export, push, deploy by reference; then what lies in the Space is run as it stands."""
    weights = export_tiny(tiny_training)
    pair = ("--teacher", REPOS["teacher"], "--student", REPOS["student"])
    runs = ("--teacher-run", tiny_training.teacher, "--student-run", tiny_training.student)
    command(
        hub, tmp_path / "sender", "push", *pair, *runs,
        "--weights", weights, "--allow-dirty", "--tag", "v1",
    )  # fmt: skip
    tagged = ("--teacher", f"{REPOS['teacher']}@v1", "--student", f"{REPOS['student']}@v1")
    said = command(
        hub, tmp_path / "sender", "push-space", NAME, *tagged,
        "--hardware", "cpu-basic", "--no-phone",
    )  # fmt: skip
    assert said.endswith(hub.history(NAME, "spaces")[-1])

    deployed = tmp_path / "space"
    for name, content in hub.files(NAME, kind="spaces").items():
        (deployed / name).parent.mkdir(parents=True, exist_ok=True)
        (deployed / name).write_bytes(content)
    commits = [hub.history(repo)[-1] for repo in REPOS.values()]
    assert (deployed / "weights/hub.txt").read_text() == (
        f"me/teacher@{commits[0]},me/student@{commits[1]}\n"
    )
    assert not list(deployed.rglob("*.onnx"))

    python, _ = slim_python(tmp_path / "slim")
    reader = {**hub.environment(tmp_path / "reader"), "HF_TOKEN": ""}
    with running_app("", tmp_path / "cache", deployed, python, reader) as app:
        found = screened(app.url)
        page = loaded(app.url)
    assert f"{REPOS['student']}@{commits[1][:12]}" in page, "the footer says what is served"
    expected = Screener(weights, threads=1).screen(open_image(DRAWING)).predictions
    for key, probability in found.items():
        assert probability == pytest.approx(expected[key].melanoma_probability, abs=1e-6)
    # Once fetched, it starts from its cache while the Hub is away.
    hub.stop()
    with running_app("", tmp_path / "cache", deployed, python, reader) as app:
        assert screened(app.url) == found


def test_a_space_with_its_own_weights_needs_no_hub(tiny_weights, tmp_path):
    folder = space.build_space(NAME, tmp_path / "space", tiny_weights)
    with running_app("", tmp_path / "cache", folder) as app:
        found = screened(app.url)
    expected = Screener(tiny_weights, threads=1).screen(open_image(DRAWING)).predictions
    for key, probability in found.items():
        assert probability == pytest.approx(expected[key].melanoma_probability, abs=1e-6)


def test_the_front_matter_says_what_the_hub_needs(hub, tiny_weights, tmp_path):
    import gradio

    files = {path.name: path.read_bytes() for path in tiny_weights.iterdir()}
    commit = hub.put("me/pair", files)
    pinned = space.pin("me/pair@main")
    folder = space.build_space(NAME, tmp_path / "space", pinned=pinned)
    found = card(folder).data.to_dict()
    assert found["sdk"] == "gradio"
    assert found["sdk_version"] == gradio.__version__
    assert found["app_file"] == "app.py"
    assert (folder / found["app_file"]).is_file()
    assert found["python_version"] == "3.12", "as text, and one that ZeroGPU has"
    assert found["models"] == ["me/pair"]
    names = ",".join(sorted(name for name in files if name.endswith((".onnx", ".json"))))
    assert found["preload_from_hub"] == [f"me/pair {names} {commit}"]
    assert len(found["short_description"]) <= 60, "the Hub refuses a longer one"
    assert found["thumbnail"].endswith("/spaces/me/demo/resolve/main/thumbnail.png")
    assert (folder / "thumbnail.png").is_file()
    assert {"license", "tags", "datasets", "title", "emoji"} <= found.keys()
    assert f"me/pair@{commit}" in card(folder).text


def test_the_tree_is_the_pages_and_nothing_else(tiny_weights, tmp_path):
    folder = space.build_space(NAME, tmp_path / "space", tiny_weights)
    assert {path.name for path in folder.iterdir()} == {
        *("app.py", "mel_demo", "weights", "requirements.txt", "README.md", "LICENSE"),
        "thumbnail.png",
    }
    requirements = (folder / "requirements.txt").read_text()
    assert "torch" not in requirements
    assert requirements.startswith((ROOT / "requirements.txt").read_text())
    assert all(f"\n{name}>=" in requirements for name in ("pillow-heif", "pydicom"))
    served = {path.relative_to(ROOT) for path in (ROOT / "mel_demo").rglob("*.py")}
    assert {path.relative_to(folder) for path in folder.glob("mel_demo/**/*.py")} == served


def test_a_second_deployment_commits_only_what_changed(hub, tiny_weights, tmp_path):
    folder = space.build_space(NAME, tmp_path / "space", tiny_weights)
    space.push_space(NAME, folder)
    space.push_space(NAME, folder)
    assert len(hub.history(NAME, "spaces")) == 1
    (folder / "app.py").write_text("# changed\n")
    (folder / "LICENSE").unlink()
    space.push_space(NAME, folder)
    assert len(hub.history(NAME, "spaces")) == 2
    assert hub.files(NAME, kind="spaces")["app.py"] == b"# changed\n"
    assert "LICENSE" not in hub.files(NAME, kind="spaces")


@pytest.fixture
def no_npm(tmp_path, monkeypatch):
    """A runtime of empty files: what it does is tested in Chromium."""
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime/ort.wasm.min.mjs").touch()
    monkeypatch.setattr("mel_demo.phone.build.runtime", lambda: tmp_path / "runtime")


def test_the_phones_page_is_deployed_beside_it(no_npm, tiny_weights, tmp_path):
    folder = space.build_space(NAME, tmp_path / "space", tiny_weights, phone=True)
    with (
        running_app("", tmp_path / "cache", folder) as app,
        urllib.request.urlopen(f"{app.url}/phone") as answer,
    ):
        assert answer.url == f"{app.url}/phone/"
        assert b'id="target"' in answer.read()


def test_a_static_space_says_what_the_hub_needs(hub, no_npm, tiny_weights, tmp_path):
    commit = hub.put("me/pair", {path.name: path.read_bytes() for path in tiny_weights.iterdir()})
    folder = space.build_static(NAME, tmp_path / "space", pinned=space.pin("me/pair@main"))
    found = card(folder).data.to_dict()
    assert found["sdk"] == "static"
    assert (folder / found["app_file"]).is_file()
    assert found["custom_headers"] == {
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "cross-origin",
    }
    assert found["models"] == ["me/pair"]
    assert found["license"] == "cc-by-nc-4.0"
    assert len(found["short_description"]) <= 60, "the Hub refuses a longer one"
    assert (folder / "thumbnail.png").is_file()
    assert f"me/pair@{commit}" in card(folder).text
    assert "sdk_version" not in found
    assert (folder / "student.onnx").read_bytes() == (tiny_weights / "student.onnx").read_bytes()
    space.build_static(NAME, folder, tiny_weights)
    with pytest.raises(PublishError, match="'demo' is no Space: name it USER/SPACE"):
        space.build_static("demo", tmp_path / "other", tiny_weights)


@pytest.mark.browser
def test_a_deployed_static_space_judges(hub, tmp_path):
    """What lies in the Space after the command, on any static host."""
    from tests.support.phone import judge, need_runtime, open_phone, phone_browser

    need_runtime()
    weights = write_tiny_weights(tmp_path / "weights", refusing=True)
    said = command(hub, tmp_path / "sender", "push-space", NAME, "--static", "--weights", weights)
    assert said.endswith(hub.history(NAME, "spaces")[-1])
    assert hub.repos["spaces/me/demo"].created["sdk"] == "static"
    for name, content in hub.files(NAME, kind="spaces").items():
        path = tmp_path / "space" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with static_host(tmp_path / "space") as host, phone_browser() as chrome:
        page = open_phone(chrome, host.url, 390, 844)
        judge(page, DRAWING)
        answer = page.evaluate(
            "async (url) => (await melDemo.screen(await (await fetch(url)).blob())).probability",
            "examples/irregular.jpg",
        )
    expected = Screener(weights, threads=1).screen(open_image(DRAWING)).student
    assert answer == pytest.approx(expected.melanoma_probability, abs=1e-4)


def test_what_cannot_be_deployed_is_refused(hub, tiny_weights, tmp_path, monkeypatch):
    with pytest.raises(PublishError, match="'demo' is no Space: name it USER/SPACE"):
        space.build_space("demo", tmp_path / "space", tiny_weights)
    with pytest.raises(PublishError, match="Resolve me/none@v1"):
        space.pin("me/none@v1")
    hub.put("me/empty", {"README.md": b""})
    with pytest.raises(PublishError, match=r"has no manifest\.json"):
        space.pin("me/empty@main")
    with pytest.raises(PublishError, match=r"Name of the Space.*'a/b/c'"):
        space.build_space("a/b/c", tmp_path / "space", tiny_weights)
    folder = space.build_space(NAME, tmp_path / "space", tiny_weights)
    with pytest.raises(PublishError, match=r"Create the Space you/demo.*may not write"):
        space.push_space("you/demo", folder)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PublishError, match="token is missing or wrong"):
        space.push_space(NAME, folder)
    assert not [name for name in hub.repos if name.startswith("spaces/")]


def test_models_that_the_space_could_not_serve_are_refused(hub, tiny_weights, tmp_path):
    files = {path.name: path.read_bytes() for path in tiny_weights.iterdir()}
    hub.put("me/teacher", {name: files[name] for name in ("manifest.json", "teacher.onnx")})
    hub.put("me/student", {name: files[name] for name in files if name != "teacher.onnx"})
    assert len(space.pin("me/teacher@main,me/student@main")) == 2
    with pytest.raises(WeightsError, match=r"me/student@\w+ has no teacher\.onnx"):
        space.pin("me/student@main,me/teacher@main")
    hub.put("me/student", {**files, "student.onnx": b"another"})
    with pytest.raises(WeightsError, match=r"student\.onnx"):
        space.pin("me/teacher@main,me/student@main")
    HfApi(endpoint=hub.url).create_repo("me/secret", private=True)
    with pytest.raises(PublishError, match="me/secret is not open to everyone"):
        space.pin("me/secret@main")


def test_a_folder_with_something_else_is_not_replaced(tiny_weights, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("# Mine\n")
    with pytest.raises(PublishError, match=r"mine holds something else.*--output"):
        space.build_space(NAME, mine, tiny_weights)
    assert (mine / "README.md").read_text() == "# Mine\n"
    earlier = space.build_space(NAME, tmp_path / "space", tiny_weights)
    (earlier / "stale.py").touch()
    space.build_space(NAME, earlier, tiny_weights)
    assert not (earlier / "stale.py").exists()


def test_hardware_that_is_refused_is_told_apart_from_the_deployment(hub, tiny_weights, tmp_path):
    folder = space.build_space(NAME, tmp_path / "space", tiny_weights)
    hub.fail("/hardware", 402)
    with pytest.raises(PublishError, match="me/demo is deployed, but not on zero-a10g"):
        space.push_space(NAME, folder, hardware="zero-a10g")
    space.push_space(NAME, folder, hardware="zero-a10g")
    assert hub.repos["spaces/me/demo"].created["hardware"] == "zero-a10g"
    assert len(hub.history(NAME, "spaces")) == 1


@pytest.mark.parametrize(("zero", "decorated"), [("", 0), ("true", 1)])
def test_zero_gpu_finds_its_function_and_no_other_machine_asks_for_it(tmp_path, zero, decorated):
    """With a stand-in for the package that only such Spaces have."""
    (tmp_path / "spaces.py").write_text(
        "decorated = []\ndef GPU(task):\n    decorated.append(task)\n    return task\n"
    )
    code = (
        "import json, sys, app\n"
        "found = sys.modules.get('spaces')\n"
        "print(json.dumps(len(found.decorated) if found else 0))"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "SPACES_ZERO_GPU": zero}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == decorated
