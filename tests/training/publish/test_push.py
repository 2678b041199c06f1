"""`training push` against a Hub on loopback: what arrives there works, and nothing half does."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from mel_demo.errors import ManifestError, WeightsError
from mel_demo.images import open_image
from mel_demo.manifest import load_manifest
from mel_demo.screening import Screener
from tests.support.tiny_export import export_tiny
from training.errors import PublishError, RunError
from training.publish import push
from training.publish.repository import empty_sections, hub_card

ROOT = Path(__file__).resolve().parents[3]
REPOS = {"teacher": "me/teacher", "student": "me/student"}
DRAWING = ROOT / "mel_demo/ui/examples/irregular.jpg"


@pytest.fixture(scope="module")
def weights(tiny_training) -> Path:
    return export_tiny(tiny_training)


@pytest.fixture(scope="module")
def runs(tiny_training) -> dict[str, Path]:
    return {"teacher": tiny_training.teacher, "student": tiny_training.student}


@pytest.fixture(scope="module")
def folders(weights, runs, tmp_path_factory) -> dict[str, Path]:
    """What would be uploaded."""
    output = tmp_path_factory.mktemp("push")
    return push.write_folders(REPOS, weights, runs, output, allow_dirty=True)


def served(source: str | Path) -> list[np.ndarray]:
    found = Screener(source, threads=1).screen(open_image(DRAWING)).predictions
    return [prediction.probabilities for prediction in found.values()]


def test_what_was_pushed_is_served_bit_by_bit_from_its_commits(hub, folders, weights):
    pushed = push.push(REPOS, folders)
    assert [made.commit for made in pushed.values()] == [
        hub.history(repo)[-1] for repo in REPOS.values()
    ]
    for one, other in zip(served(push.source(pushed)), served(weights), strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_repository_is_one_commit_without_pickle(hub, folders):
    push.push(REPOS, folders)
    for role, repo in REPOS.items():
        assert len(hub.history(repo)) == 1
        files = hub.files(repo)
        assert {f"{role}.onnx", "README.md", "manifest.json", "config.json"} <= files.keys()
        assert {"model.safetensors", "recipe.json", "roc.svg"} <= files.keys()
        assert not [name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    assert "student.onnx" not in hub.files(REPOS["teacher"])
    assert (
        hub.files(REPOS["teacher"])["manifest.json"]
        == (hub.files(REPOS["student"])["manifest.json"])
    )


def test_a_second_push_commits_nothing_and_a_changed_file_alone_is_sent(hub, folders, tmp_path):
    push.push(REPOS, folders)
    again = push.push(REPOS, folders)
    assert [len(hub.history(repo)) for repo in REPOS.values()] == [1, 1]
    assert again["student"].commit == hub.history(REPOS["student"])[0]
    changed = shutil.copytree(folders["student"], tmp_path / "student")
    (changed / "README.md").write_text((changed / "README.md").read_text() + "\nMore.\n")
    (changed / "roc.svg").unlink()
    push.push(REPOS, {**folders, "student": changed})
    assert [len(hub.history(repo)) for repo in REPOS.values()] == [1, 2]
    assert "roc.svg" not in hub.files(REPOS["student"]), "what is no longer part is removed"


def test_a_tag_names_the_commits_and_is_never_moved(hub, folders, tmp_path):
    pushed = push.push(REPOS, folders, tag="v1")
    assert hub.repos["models/me/student"].tags == {"v1": pushed["student"].commit}
    push.push(REPOS, folders, tag="v1")
    changed = shutil.copytree(folders["student"], tmp_path / "student")
    (changed / "README.md").write_text("# Another\n")
    with pytest.raises(PublishError, match="v1 of me/student already names"):
        push.push(REPOS, {**folders, "student": changed}, tag="v1")


def test_a_pull_request_leaves_main_alone(hub, folders):
    push.push(REPOS, folders)
    before = hub.history(REPOS["student"])
    readme = folders["student"] / "README.md"
    text = readme.read_text()
    try:
        readme.write_text(text + "\nProposed.\n")
        pushed = push.push(REPOS, folders, create_pr=True)
    finally:
        readme.write_text(text)
    assert hub.history(REPOS["student"]) == before
    assert "/discussions/" in pushed["student"].url


def test_new_repositories_are_private_when_asked(hub, folders):
    push.push(REPOS, folders, private=True)
    assert {repo.created["visibility"] for repo in hub.repos.values()} == {"private"}


def test_timm_and_the_cards_own_examples_give_what_is_served(hub, folders, weights, tmp_path):
    """The Python of the card is run as a reader would, in a process of its own."""
    push.push(REPOS, folders)
    shutil.copy(DRAWING, tmp_path / "lesion.jpg")
    # Of a shape that neither crop cuts: then timm's transform is ours.
    Image.open(DRAWING).crop((0, 0, 450, 450)).save(tmp_path / "lesion.jpg", quality=95)
    found = Screener(weights, threads=1).screen(open_image(tmp_path / "lesion.jpg"))
    card = (folders["student"] / "README.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(examples) == 2
    for example, tolerance in zip(examples, (1e-6, 0.01), strict=True):
        done = subprocess.run(
            [sys.executable, "-c", example],
            cwd=tmp_path,
            env=os.environ | hub.environment(tmp_path / "reader"),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        probability = float(done.stdout.split()[-1])
        assert probability == pytest.approx(found.student.melanoma_probability, abs=tolerance)


def test_the_cards_say_what_a_stranger_needs(folders):
    for role, repo in REPOS.items():
        card = ModelCard.load(folders[role] / "README.md")
        assert card.data.license == "cc-by-nc-4.0"
        assert card.data.library_name == "timm"
        assert card.data.base_model == (None if role == "teacher" else REPOS["teacher"])
        values = {result.metric_type: result.metric_value for result in card.data.eval_results}
        manifest = json.loads((folders[role] / "manifest.json").read_text())
        holdout = manifest["models"][role]["metrics"]["holdout"]
        assert values["roc_auc"] == pytest.approx(holdout["roc_auc"]["value"], abs=1e-4)
        for heading in ("How to use", "Intended use", "Limits", "Training", "Citation"):
            assert re.search(rf"^##+ {heading}$", card.text, re.MULTILINE), heading
        for word in (repo, "not a medical device", manifest["models"][role]["sha256"]):
            assert word in card.text
        assert empty_sections(card.text) == []


@pytest.mark.parametrize("unclean", [True, False])
def test_the_card_says_when_the_source_had_changes(weights, unclean):
    spec = load_manifest(weights).models["teacher"]
    card = hub_card([spec], REPOS, "someone/data", unclean)
    assert ("changes that are in no commit" in card.text) == unclean


@pytest.mark.parametrize(
    ("card", "empty"),
    [
        ("# A\n\nText.\n\n## B\n\n### C\n\nText.\n", []),
        ("# A\n\n## B\n\n## C\n\nText.\n", ["B"]),
        ("# A\n\nText.\n\n## B\n", ["B"]),
        ("# A\n\n```sh\n# no heading\n```\n", []),
    ],
)
def test_empty_sections_are_found(card, empty):
    assert empty_sections(card) == empty


def test_changed_weights_are_not_published(weights, runs, tmp_path):
    changed = shutil.copytree(weights, tmp_path / "weights")
    (changed / "student.onnx").write_bytes((weights / "student.onnx").read_bytes() + b" ")
    with pytest.raises(WeightsError, match=r"student\.onnx"):
        push.write_folders(REPOS, changed, runs, tmp_path / "out", allow_dirty=True)


def test_what_was_not_measured_on_holdout_is_not_published(weights, runs, tmp_path):
    changed = shutil.copytree(weights, tmp_path / "weights")
    manifest = json.loads((changed / "manifest.json").read_text())
    manifest["models"]["student"]["metrics"]["holdout"] = {}
    (changed / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match=r"models\.student\.metrics\.holdout"):
        push.write_folders(REPOS, changed, runs, tmp_path / "out", allow_dirty=True)


def test_a_run_that_is_not_the_released_one_is_refused(weights, runs, tmp_path, tiny_training):
    import torch
    from safetensors.torch import load_file, save_file

    other = shutil.copytree(runs["student"], tmp_path / "student")
    state = load_file(other / "best.safetensors")
    state["classifier.bias"] += torch.arange(7.0)
    save_file(state, other / "best.safetensors")
    with pytest.raises(RunError, match=r"is not the run that student\.onnx.*--student-run"):
        push.write_folders(
            REPOS, weights, {**runs, "student": other}, tmp_path / "out", allow_dirty=True
        )


def test_a_dry_run_into_the_folder_of_the_runs_leaves_them_alone(weights, runs, tmp_path):
    mine = {role: shutil.copytree(run, tmp_path / "runs" / role) for role, run in runs.items()}
    with pytest.raises(PublishError, match=r"runs/teacher holds something else.*--output"):
        push.write_folders(REPOS, weights, mine, tmp_path / "runs", allow_dirty=True)
    assert (mine["teacher"] / "best.safetensors").exists()


def test_changes_in_no_commit_are_refused_unless_allowed(monkeypatch):
    monkeypatch.setattr(push, "git_commit", lambda: "0" * 40 + "-dirty")
    with pytest.raises(PublishError, match="--allow-dirty"):
        push.is_unclean(allowed=False)
    assert push.is_unclean(allowed=True)
    monkeypatch.setattr(push, "git_commit", lambda: "0" * 40)
    assert not push.is_unclean(allowed=False)


@pytest.mark.parametrize(
    ("repos", "says"),
    [
        ({"teacher": "me/one", "student": "me/one"}, "overwrite"),
        ({"teacher": "one", "student": "me/two"}, "'one' has no owner"),
        ({"teacher": "me/o--e", "student": "me/two"}, "me/o--e"),
    ],
)
def test_names_are_checked_before_anything_else(repos, says, weights, runs, tmp_path):
    with pytest.raises(PublishError, match=says):
        push.write_folders(repos, weights, runs, tmp_path, allow_dirty=True)


@pytest.mark.parametrize(
    ("token", "repos", "says"),
    [
        ("", REPOS, "nobody is signed in.*hf auth login"),
        ("hf_wrong", REPOS, "token is missing or wrong"),
        (None, {"teacher": "you/teacher", "student": "me/student"}, "Create you/teacher.*may not"),
    ],
)
def test_without_the_right_to_write_nothing_is_sent(hub, folders, monkeypatch, token, repos, says):
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PublishError, match=says):
        push.push(repos, folders)
    assert not hub.repos
    assert not hub.blobs


def test_a_rate_limit_names_the_wait_and_the_next_try_finishes(hub, folders):
    hub.fail("repos/create", 429, headers={"Retry-After": "7"})
    with pytest.raises(PublishError, match=r"wait 7 s.*same command again"):
        push.push(REPOS, folders)
    push.push(REPOS, folders)
    assert [len(hub.history(repo)) for repo in REPOS.values()] == [1, 1]


def test_a_rate_limit_in_an_upload_is_waited_for(hub, folders):
    hub.fail("preupload", 429, headers={"Retry-After": "1"})
    push.push(REPOS, folders)
    assert [len(hub.history(repo)) for repo in REPOS.values()] == [1, 1]


def test_a_cut_upload_leaves_no_half_commit(hub, folders):
    hub.fail(r"^/lfs/", None, method="PUT", times=1)
    push.push(REPOS, folders)  # the client tries again by itself
    hub.repos.clear()
    hub.blobs.clear()
    hub.fail(r"/commit/main", 403, times=1)
    with pytest.raises(PublishError, match="me/teacher"):
        push.push(REPOS, folders)
    assert hub.history(REPOS["teacher"]) == []


def test_killed_between_the_repositories_the_next_run_finishes(hub, folders, weights):
    hub.fail(r"/api/models/me/student/commit", 403)
    with pytest.raises(PublishError, match="me/student"):
        push.push(REPOS, folders)
    assert [len(hub.history(repo)) for repo in REPOS.values()] == [1, 0]
    pushed = push.push(REPOS, folders)
    assert [len(hub.history(repo)) for repo in REPOS.values()] == [1, 1]
    served(push.source(pushed))


def test_without_network_it_says_so(hub, folders):
    hub.stop()
    with pytest.raises(PublishError, match="cannot be reached"):
        push.push(REPOS, folders)


def test_the_command_writes_the_folders_or_pushes_them(hub, weights, runs, tmp_path):
    """Through the real command line: a dry run to read, then the push, then the page's weights."""

    def push(*options: str) -> str:
        command = [sys.executable, "-m", "training", "push", "--allow-dirty"]
        command += ["--teacher", REPOS["teacher"], "--student", REPOS["student"]]
        command += ["--weights", str(weights), "--teacher-run", str(runs["teacher"])]
        command += ["--student-run", str(runs["student"]), *options]
        environment = os.environ | hub.environment(tmp_path / "sender")
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    push("--dry-run", "--output", str(tmp_path / "dry"))
    assert not hub.repos
    dry = {path.name: path.read_bytes() for path in (tmp_path / "dry/student").iterdir()}
    said = push("--tag", "v1")
    assert hub.files(REPOS["student"]) == dry, "the dry run is what is uploaded"
    named = said.strip().splitlines()[-1].removeprefix("MEL_WEIGHTS=")
    for one, other in zip(served(named), served(weights), strict=True):
        np.testing.assert_array_equal(one, other)
