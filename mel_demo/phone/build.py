"""`python -m mel_demo phone`: the page that screens on the phone, as a folder for any static host.

Copies page, runtime and one model, writes config.json and the words, and names every file with its
SHA-256. The runtime comes from npm, pinned by the lock file beside this module; no other step.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

from mel_demo import inference
from mel_demo.errors import SettingError
from mel_demo.hub import locate
from mel_demo.manifest import Manifest, ModelSpec, load_manifest, verify_weights
from mel_demo.phone.config import config, locales

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "ui" / "examples"
DRAWN = ("irregular.jpg", "nevus.jpg", "landscape.jpg")
"""Drawn examples that the page offers; the last one is refused where the model says a distance."""
LIST = "files.json"
PHONE_MODELS = ("student_int8", "student")
_DIST = "node_modules/onnxruntime-web/dist"
_RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_NOT_CACHED = {"_headers", "sw.js", "README.md"}


def lay_out(
    output: Path, weights: Path | str | None = None, model: str | None = None, ort: bool = False
) -> ModelSpec:
    """Write the page to ``output`` and return the model it serves.

    ``model``: one of PHONE_MODELS; None means the first that can tell what is no dermoscopy image,
    or else the first. ``ort``: also write it for ONNX Runtime Mobile, to ``mobile/``. Raises
    SettingError for a folder with other content or without npm, ManifestError or WeightsError.
    """
    located = locate(weights)
    manifest = load_manifest(located.folder)
    spec = _choose(manifest, model)
    onnx = verify_weights(spec, located.folder)
    libraries = runtime()
    _empty(output)
    shutil.copytree(HERE / "static", output, dirs_exist_ok=True)
    shutil.copytree(libraries, output / "runtime")
    shutil.copyfile(onnx, output / spec.file)
    (output / "examples").mkdir()
    for name in DRAWN:
        shutil.copyfile(EXAMPLES / name, output / "examples" / name)
    _licences(output / "licences")
    _write_json(output / "config.json", config(manifest, spec))
    _write_json(output / "locales.json", locales())
    _name_files(output)
    if ort:
        (output / "mobile").mkdir()
        inference.write_ort(onnx, output / "mobile" / f"{onnx.stem}.ort")
    return spec


def runtime(cache: Path | None = None) -> Path:
    """A folder with the files of ONNX Runtime Web, fetched by ``npm ci`` once a lock file.

    ``cache``: where it is kept; by default $XDG_CACHE_HOME/mel_demo or ~/.cache/mel_demo.
    """
    if cache is None:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = Path(base) / "mel_demo"
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    folder = cache / f"onnxruntime-web-{digest[:12]}"
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise SettingError(
            "The page needs ONNX Runtime Web, which comes from npm, and there is no `npm` on the "
            "PATH. Install Node.js 18 or newer (Debian: `apt-get install nodejs npm`; others: "
            "https://nodejs.org) and try again."
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        project = Path(temporary, "npm")
        project.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(HERE / name, project / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        if done.returncode:
            raise SettingError(
                "npm could not fetch ONNX Runtime Web:\n"
                f"{done.stderr.strip()}\nCheck the connection to the npm registry and try again."
            )
        wanted = Path(temporary, "runtime")
        wanted.mkdir()
        for name in _RUNTIME:
            shutil.copyfile(project / _DIST / name, wanted / name)
        try:
            wanted.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was quicker
                raise
    return folder


def _choose(manifest: Manifest, model: str | None) -> ModelSpec:
    here = [manifest.models[key] for key in PHONE_MODELS if key in manifest.models]
    if model is None:
        return next((spec for spec in here if spec.ood), here[0])
    if model not in {spec.key for spec in here}:
        known = " or ".join(spec.key for spec in here)
        raise SettingError(f"These weights have no {model!r} for a phone: choose {known}.")
    return manifest.models[model]


def _empty(output: Path) -> None:
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        if not (output / LIST).is_file():
            raise SettingError(
                f"{output} holds something else, which would be lost. Name a new folder with "
                "--output."
            )
        shutil.rmtree(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"{output} cannot be made ({error.strerror}). Name a folder that you may write to."
        ) from error


def _licences(folder: Path) -> None:
    """The page's own licence, and those of the runtime, as its Python package brings them."""
    shutil.copyfile(HERE.parents[1] / "LICENSE", folder / "mel_demo.txt")
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        text = (files("onnxruntime") / name).read_bytes()
        (folder / f"onnxruntime-{name.removesuffix('.txt')}.txt").write_bytes(text)


def _name_files(output: Path) -> None:
    """files.json: each file with its SHA-256, and a release that changes when any of them does."""
    listed = {}
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        name = path.relative_to(output).as_posix()
        content = path.read_bytes()
        listed[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    release = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:12]
    worker = output / "sw.js"
    worker.write_text(worker.read_text(encoding="utf-8").replace('"development"', f'"{release}"'))
    kept = {name: file for name, file in listed.items() if name not in _NOT_CACHED}
    _write_json(output / LIST, {"release": release, "files": kept})


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    path.write_text(text, encoding="utf-8")
