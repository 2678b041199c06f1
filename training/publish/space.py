"""`training push-space`: the page as a Hugging Face Space, the exact tree of it in one commit.

Two kinds: the page on the server (a Gradio Space, with the phone's page at /phone), or the phone's
page alone, which needs no server (a static Space).
"""

import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, RepoCard, SpaceCardData, constants
from huggingface_hub.utils import validate_repo_id
from rich.console import Console

from mel_demo.hub import DEFAULT, SOURCE_FILE, fetch, parse
from mel_demo.manifest import FILE_NAME, load_manifest, verify_weights
from mel_demo.phone.build import lay_out
from mel_demo.phone.serve import HEADERS
from training.errors import PublishError
from training.provenance import git_commit
from training.publish.push import Pushed, explained, upload
from training.publish.repository import CARD, LICENCE_ID, emptied

_ROOT = Path(__file__).resolve().parents[2]
_SERVED = ("app.py", "mel_demo", "requirements.txt", "LICENSE")
"""What the page needs beside its weights."""
_THUMBNAIL = _ROOT / "docs" / "page-desktop.png"
_PHONE_THUMBNAIL = _ROOT / "docs" / "phone-desktop.png"
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
_STATIC_TITLE = "Melanoma screening on your device"
_STATIC_SHORT = "A student network judges dermoscopy in your browser"
_STATIC_BODY = """
# {title}

Judges one dermoscopy image in the browser itself, with the small student network distilled from a
large teacher ({model}, {megabytes:.1f} MB): melanoma probability, decision at the sensitivity you
choose, evidence map. After one visit it works offline. No image leaves the device.

**A research demonstration, not a medical device.** It must not be used to diagnose or to rule out
anything. Have a changing or unusual spot looked at by a dermatologist.

Weights: {weights}. Code: Apache-2.0; weights: CC BY-NC 4.0, as HAM10000
(doi 10.1038/sdata.2018.161), which they learned from. Licences of the runtime: `licences/`.
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
    space: str,
    output: Path,
    weights: Path = DEFAULT,
    pinned: Sequence[Pinned] = (),
    phone: bool = False,
) -> Path:
    """Write the Space's tree to ``output`` (see ``emptied``).

    ``pinned``: models that stay where they are on the Hub (see ``pin``); without, those of
    ``weights`` are copied. ``phone``: with the phone's page, for which npm is needed. Raises
    PublishError, ManifestError or WeightsError, and SettingError without npm.
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
    if phone:
        lay_out(output / "build" / "phone", _source(weights, pinned))
    return output


def build_static(
    space: str, output: Path, weights: Path = DEFAULT, pinned: Sequence[Pinned] = ()
) -> Path:
    """Write the tree of a static Space to ``output`` (see ``emptied``): the phone's page alone.

    Its model is a copy, as no request may leave the page's origin; ``pinned`` says where it comes
    from. Raises as ``build_space``.
    """
    _check_name(space)
    spec = lay_out(emptied(output), _source(weights, pinned))
    shutil.copyfile(_PHONE_THUMBNAIL, output / "thumbnail.png")
    isolated = {name.lower(): HEADERS[name] for name in HEADERS if name.startswith("Cross-Origin")}
    data = SpaceCardData(
        title=_STATIC_TITLE,
        emoji="📱",
        colorFrom="green",
        colorTo="blue",
        sdk="static",
        app_file="index.html",
        short_description=_STATIC_SHORT,
        # For a frame on huggingface.co as well as for a window of its own.
        custom_headers=isolated | {"cross-origin-resource-policy": "cross-origin"},
        **_shared(space, pinned),
    )
    body = _STATIC_BODY.format(
        title=_STATIC_TITLE,
        model=spec.key,
        megabytes=spec.bytes / 1e6,
        weights=", ".join(map(str, pinned)) or "in this repository",
    )
    (output / CARD).write_text(str(RepoCard(f"---\n{data.to_yaml()}\n---\n{body}")), "utf-8")
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
        found.append(Pinned(repo, str(info.sha), tuple(sorted(files))))
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
    static: bool = False,
    phone: bool = True,
) -> str:
    """Build and push the Space; returns what to tell. ``dry``: folder to write to instead.

    ``models``: teacher and student on the Hub, as USER/REPO@REVISION, in place of ``weights``.
    ``static``, ``phone``: the phone's page alone, or beside the server's.
    """
    if static and (hardware or not phone):
        raise PublishError(
            "A static Space is the page on the phone and has no hardware: leave out --hardware and "
            "--no-phone."
        )
    if models is not None and None in models:
        raise PublishError("Give both --teacher and --student, or neither to copy the models.")
    pinned = pin(",".join(map(str, models))) if models is not None else []

    def build(folder: Path) -> Path:
        if static:
            return build_static(space, folder, weights, pinned)
        return build_space(space, folder, weights, pinned, phone)

    if dry is not None:
        return f"{space}: read {build(dry)}"
    with tempfile.TemporaryDirectory() as name, Console().status(f"Deploying {space}"):
        folder = build(Path(name) / "space")
        return push_space(space, folder, private, hardware, "static" if static else "gradio").url


def push_space(
    space: str,
    folder: Path,
    private: bool = False,
    hardware: str | None = None,
    sdk: str = "gradio",
) -> Pushed:
    """Make the Space hold exactly ``folder``; PublishError says what the Hub refused."""
    api = HfApi(endpoint=constants.ENDPOINT)
    with explained("Sign in"):
        api.whoami()
    with explained(f"Create the Space {space}"):
        api.create_repo(
            space, repo_type="space", space_sdk=sdk, private=private or None, exist_ok=True
        )
    pushed = upload(api, space, folder, f"Deploy mel_demo {git_commit()}", kind="space")
    if hardware:
        with explained(f"{space} is deployed, but not on {hardware}"):
            api.request_space_hardware(space, hardware=hardware)  # type: ignore[arg-type]
    return pushed


def _source(weights: Path, pinned: Sequence[Pinned]) -> Path | str:
    return ",".join(map(str, pinned)) or weights


def _check_name(space: str) -> None:
    with explained("Name of the Space"):
        validate_repo_id(space)
    if "/" not in space:
        raise PublishError(f"{space!r} is no Space: name it USER/SPACE.")


def _shared(space: str, pinned: Sequence[Pinned]) -> dict[str, Any]:
    """What stands in the front matter of both kinds."""
    return {
        "license": LICENCE_ID,
        "thumbnail": f"https://huggingface.co/spaces/{space}/resolve/main/thumbnail.png",
        "models": [source.repo for source in pinned] or None,
        "datasets": ["marmal88/skin_cancer"],
        "tags": ["dermoscopy", "melanoma", "knowledge-distillation", "onnx"],
    }


def _readme(space: str, pinned: Sequence[Pinned]) -> str:
    _check_name(space)
    data = SpaceCardData(
        title=_TITLE,
        emoji="🔎",
        colorFrom="blue",
        colorTo="yellow",
        sdk="gradio",
        sdk_version=metadata.version("gradio"),
        python_version=_PYTHON_VERSION,
        app_file="app.py",
        short_description=_SHORT,
        suggested_hardware="cpu-basic",
        preload_from_hub=[
            f"{source.repo} {','.join(source.files)} {source.commit}" for source in pinned
        ]
        or None,
        **_shared(space, pinned),
    )
    said = ", ".join(map(str, pinned)) or "in this repository"
    body = _BODY.format(title=_TITLE, weights=said)
    return str(RepoCard(f"---\n{data.to_yaml()}\n---\n{body}"))
