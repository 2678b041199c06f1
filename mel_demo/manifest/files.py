"""manifest.json and the weights' files: read, written, compared with what was recorded."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mel_demo.errors import ManifestError, WeightsError
from mel_demo.manifest.checks import refusal
from mel_demo.manifest.models import Manifest, ModelSpec

FILE_NAME = "manifest.json"
_LINES = re.compile(r"\n\s*")
_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def load_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``.

    Raises ManifestError, naming the key path, for a file that is missing or has a missing key, a
    wrong type, a number out of range, or counts that contradict each other.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(
            f"{path}: {error.strerror}. Name a folder that holds {FILE_NAME} and the models "
            "(option --weights or environment variable MEL_WEIGHTS), or fetch the repository again."
        ) from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text. Fetch or export it again.") from error
    try:
        return _MANIFEST.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        reason = first["ctx"]["error"]
        raise ManifestError(f"{path} is not JSON ({reason}). Fetch or export it again.")
    raise ManifestError(f"{path}: {refusal(first)}")


def to_json(manifest: Manifest) -> str:
    """The text of manifest.json; ``load_manifest`` reads the same manifest from it."""
    text = json.dumps(plain(manifest), indent=1, allow_nan=False) + "\n"
    # What holds nothing nested, such as an interval, stands on one line.
    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda found: _LINES.sub(" ", found[0]), text)


def plain(part: object) -> Any:
    """A part of the manifest as JSON's own types, rounded as the file has it."""
    return TypeAdapter(type(part)).dump_python(part, mode="json")


def verify_weights(spec: ModelSpec, folder: Path) -> Path:
    """Path of the model's file, after comparing its size and then its SHA-256 with the manifest.

    Raises WeightsError when the file is missing or differs.
    """
    path = folder / spec.file
    try:
        size = path.stat().st_size
        if size != spec.bytes:
            raise WeightsError(
                f"{path} has {size} bytes, the manifest says {spec.bytes}. {_way_out(path)}"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(
            f"{path}: {error.strerror}. Fetch the weights again, or export them with "
            "`python -m training export`."
        ) from error
    if digest != spec.sha256:
        raise WeightsError(
            f"{path} has SHA-256 {digest[:12]}..., the manifest says {spec.sha256[:12]}.... "
            f"{_way_out(path)}"
        )
    return path


def _way_out(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(40)
    if start.startswith(b"version https://git-lfs"):
        return "It is a Git LFS pointer: run `git lfs pull`."
    return "It is not the file that was measured: fetch or export manifest and weights together."
