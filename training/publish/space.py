"""`training push-space`: the page as a Hugging Face Space, the exact tree of it in one commit."""

import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from huggingface_hub import HfApi, RepoCard, SpaceCardData, constants
from huggingface_hub.utils import validate_repo_id
from rich.console import Console

from mel_demo.hub import DEFAULT, SOURCE_FILE, fetch, parse
from mel_demo.manifest import FILE_NAME, load_manifest, verify_weights
from training.errors import PublishError
from training.provenance import git_commit
from training.publish.push import Pushed, explained, upload
from training.publish.repository import CARD, LICENCE_ID, emptied

_ROOT = Path(__file__).resolve().parents[2]
_SERVED = ("app.py", "mel_demo", "requirements.txt", "LICENSE")
"""What the page needs beside its weights."""
_THUMBNAIL = _ROOT / "docs" / "page-desktop.png"
_PYTHON_VERSION = "3.12"
"""Runs on every hardware: ZeroGPU has few versions, and 3.11 is none of them."""
_TITLE = "Melanoma screening, teacher and student"
_SHORT = "Dermoscopy judged by a teacher and its student network"
_BODY = """
# {title}

One dermoscopy image, judged side by side by a large teacher network and the small student distilled
from it: melanoma probability, decision at the sensitivity you choose, evidence maps, and what that
setting cost on held-out images.

**A research demonstration, not a medical device.** It must not be used to diagnose or to rule out
anything. Have a changing or unusual spot looked at by a dermatologist.

Weights: {weights}. Code: Apache-2.0; weights: CC BY-NC 4.0, as HAM10000
(doi 10.1038/sdata.2018.161), which they learned from.
"""


@dataclass(frozen=True)
class Pinned:
    """A model repository at a commit, and the files of it that the page reads."""

    repo: str
    commit: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.repo}@{self.commit}"


def build_space(
    space: str, output: Path, weights: Path = DEFAULT, pinned: Sequence[Pinned] = ()
) -> Path:
    """Write the Space's tree to ``output`` (see ``emptied``).

    ``pinned``: models that stay where they are on the Hub (see ``pin``); without, those of
    ``weights`` are copied. Raises PublishError, ManifestError or WeightsError.
    """
    readme = _readme(space, pinned)
    (emptied(output) / CARD).write_text(readme, encoding="utf-8")
    (output / "weights").mkdir()
    for name in _SERVED:
        if (_ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(_ROOT / name, output / name, ignore=ignored)
        else:
            shutil.copyfile(_ROOT / name, output / name)
    with (output / "requirements.txt").open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _extras())
    if pinned:
        line = ",".join(map(str, pinned))
        (output / "weights" / SOURCE_FILE).write_text(f"{line}\n", encoding="utf-8")
    else:
        manifest = load_manifest(weights)
        for spec in manifest.models.values():
            shutil.copyfile(verify_weights(spec, weights), output / "weights" / spec.file)
        shutil.copyfile(weights / FILE_NAME, output / "weights" / FILE_NAME)
    shutil.copyfile(_THUMBNAIL, output / "thumbnail.png")
    return output


def _extras() -> list[str]:
    """What reads the pictures of phones and archives, optional elsewhere."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [*extras["heif"], *extras["dicom"]]


def pin(source: str) -> list[Pinned]:
    """The repositories of ``source`` (``hub.FORMS``), each at the commit that its revision names.

    A tag or branch is resolved now, so that the Space does not change by itself. What the Space
    could not fetch or serve raises PublishError, WeightsError or ManifestError.
    """
    api = HfApi(endpoint=constants.ENDPOINT)
    found = []
    for repo, revision in parse(source):
        with explained(f"Resolve {repo}@{revision}"):
            info = api.model_info(repo, revision=revision)
        if info.private or info.gated:
            raise PublishError(
                f"{repo} is not open to everyone, so that the Space could not read it. Make it "
                "public, or leave out --teacher and --student: the models are then copied."
            )
        names = [sibling.rfilename for sibling in info.siblings or []]
        files = [name for name in names if name == FILE_NAME or name.endswith(".onnx")]
        if FILE_NAME not in files:
            raise PublishError(
                f"{repo}@{revision} has no {FILE_NAME}: it was not published by `training push`."
            )
        found.append(Pinned(repo, info.sha, tuple(sorted(files))))
    # What the Space does when it starts: better refused here than there.
    fetch(",".join(map(str, found)))
    return found


def deploy(
    space: str,
    weights: Path,
    models: tuple[str | None, str | None] | None = None,
    private: bool = False,
    hardware: str | None = None,
    dry: Path | None = None,
) -> str:
    """Build and push the Space; returns what to tell. ``dry``: folder to write to instead.

    ``models``: teacher and student on the Hub, as USER/REPO@REVISION, in place of ``weights``.
    """
    if models is not None and None in models:
        raise PublishError("Give both --teacher and --student, or neither to copy the models.")
    pinned = pin(",".join(map(str, models))) if models is not None else []
    if dry is not None:
        return f"{space}: read {build_space(space, dry, weights, pinned)}"
    with tempfile.TemporaryDirectory() as name, Console().status(f"Deploying {space}"):
        folder = build_space(space, Path(name) / "space", weights, pinned)
        return push_space(space, folder, private, hardware).url


def push_space(
    space: str, folder: Path, private: bool = False, hardware: str | None = None
) -> Pushed:
    """Make the Space hold exactly ``folder``; PublishError says what the Hub refused."""
    api = HfApi(endpoint=constants.ENDPOINT)
    with explained("Sign in"):
        api.whoami()
    with explained(f"Create the Space {space}"):
        api.create_repo(
            space, repo_type="space", space_sdk="gradio", private=private or None, exist_ok=True
        )
    pushed = upload(api, space, folder, f"Deploy mel_demo {git_commit()}", kind="space")
    if hardware:
        with explained(f"{space} is deployed, but not on {hardware}"):
            api.request_space_hardware(space, hardware=hardware)
    return pushed


def _readme(space: str, pinned: Sequence[Pinned]) -> str:
    with explained("Name of the Space"):
        validate_repo_id(space)
    if "/" not in space:
        raise PublishError(f"{space!r} is no Space: name it USER/SPACE.")
    data = SpaceCardData(
        title=_TITLE,
        emoji="🔎",
        colorFrom="blue",
        colorTo="yellow",
        sdk="gradio",
        sdk_version=metadata.version("gradio"),
        python_version=_PYTHON_VERSION,
        app_file="app.py",
        license=LICENCE_ID,
        short_description=_SHORT,
        thumbnail=f"https://huggingface.co/spaces/{space}/resolve/main/thumbnail.png",
        models=[source.repo for source in pinned] or None,
        datasets=["marmal88/skin_cancer"],
        tags=["dermoscopy", "melanoma", "knowledge-distillation", "onnx"],
        suggested_hardware="cpu-basic",
        preload_from_hub=[
            f"{source.repo} {','.join(source.files)} {source.commit}" for source in pinned
        ]
        or None,
    )
    said = ", ".join(map(str, pinned)) or "in this repository"
    body = _BODY.format(title=_TITLE, weights=said)
    return str(RepoCard(f"---\n{data.to_yaml()}\n---\n{body}"))
