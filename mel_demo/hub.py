"""Which weights: a folder, or a pinned revision on the Hugging Face Hub fetched into one, checked.

Released models live in two repositories, the teacher's and the student's, with one manifest in
both; or in one that holds them all. Nothing here runs a model or reads an operating table.
"""

import filecmp
import logging
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from mel_demo.errors import ManifestError, WeightsError
from mel_demo.manifest import FILE_NAME, Manifest, ModelSpec, load_manifest, verify_weights

DEFAULT = Path(__file__).resolve().parents[1] / "weights"
SOURCE_FILE = "hub.txt"
"""Stands in ``DEFAULT`` where the models are not: names a revision in the Hub's form."""
FORMS = "USER/REPO@REVISION, or USER/TEACHER@REVISION,USER/STUDENT@REVISION"
ANSWER_SECONDS = 4
"""How long the Hub may take to answer before a start goes on without it."""
# The client makes a file of the revision's name: ".." must not lead out of its cache.
_SOURCE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>\w(?!.*\.\.)[\w./+-]*)", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """A repository, the revision that was asked for, and the commit that it named."""

    repo: str
    revision: str
    commit: str

    def __str__(self) -> str:
        """``repo@commit``, with what the commit was found by where that may move."""
        asked = "" if self.revision == self.commit else f" ({self.revision})"
        return f"{self.repo}@{self.commit[:12]}{asked}"


@dataclass(frozen=True)
class Located:
    """A folder with manifest and models; ``origins``: where it was fetched from, if it was."""

    folder: Path
    origins: tuple[Origin, ...] = ()


def locate(named: Path | str | None = None) -> Located:
    """The weights that ``named`` means: a folder, or one of FORMS.

    None means the environment variable MEL_WEIGHTS, or else ``weights/`` beside mel_demo, which may
    hold ``hub.txt`` in place of the models. Raises WeightsError or ManifestError.
    """
    named = named or os.environ.get("MEL_WEIGHTS") or _default()
    if isinstance(named, Path) or Path(named).is_dir():
        return Located(Path(named))
    return Located(*fetch(named))


def _default() -> Path | str:
    source = DEFAULT / SOURCE_FILE
    if (DEFAULT / FILE_NAME).exists() or not source.exists():
        return DEFAULT
    return source.read_text(encoding="utf-8").strip()


def fetch(named: str) -> tuple[Path, tuple[Origin, ...]]:
    """Folder with manifest and models of ``named``, one of ``FORMS``, and where they came from.

    The client's cache is used first: with a commit, or with a revision that was fetched before
    while the Hub cannot be reached, nothing is downloaded. Raises WeightsError or ManifestError; a
    file that is not the manifest's is removed from the cache, so that the next try fetches it anew.
    """
    origins, snapshots = [], []
    for repo, revision in parse(named):
        file = _download(repo, FILE_NAME, revision)
        # The cache keeps each commit in a folder of its name, whatever it was found by.
        origins.append(Origin(repo, revision, file.parent.name))
        snapshots.append(file.parent)
        if not _COMMIT.fullmatch(revision):
            _log.warning("%s: name the commit to pin it", origins[-1])
    manifest = _manifest(origins, snapshots)
    files = {
        spec.file: _model(spec, origins[-1] if key != "teacher" else origins[0])
        for key, spec in manifest.models.items()
    }
    return _assemble(origins, {FILE_NAME: snapshots[0] / FILE_NAME, **files}), tuple(origins)


def parse(named: str) -> list[tuple[str, str]]:
    """Repositories and revisions, one or two; WeightsError for anything else."""
    matches = [_SOURCE.fullmatch(part.strip()) for part in named.split(",")]
    if not all(matches) or len(matches) > 2:
        raise WeightsError(
            f"Weights {named!r}: not a folder here, and not of the form {FORMS}. Change the option "
            "--weights or the environment variable MEL_WEIGHTS; without either, those of the "
            "repository are served."
        )
    return [(match["repo"], match["revision"]) for match in matches if match]


def _manifest(origins: Sequence[Origin], snapshots: Sequence[Path]) -> Manifest:
    for origin, snapshot in zip(origins, snapshots, strict=True):
        try:
            manifest = load_manifest(snapshot)
        except ManifestError as error:
            _forget(snapshot / FILE_NAME)
            raise ManifestError(f"{origin}: {error}") from error
    first, last = snapshots[0] / FILE_NAME, snapshots[-1] / FILE_NAME
    if not filecmp.cmp(first, last, shallow=False):
        raise WeightsError(
            f"{origins[0]} and {origins[-1]} were published by different exports: their "
            f"{FILE_NAME} differ. Name revisions that were pushed together."
        )
    return manifest


def _model(spec: ModelSpec, origin: Origin) -> Path:
    file = _download(origin.repo, spec.file, origin.commit)
    try:
        return verify_weights(spec, file.parent)
    except WeightsError as error:
        _forget(file)
        raise WeightsError(
            f"{origin}: {error} It was removed from the cache: try again, and if that does not "
            "help, name another revision."
        ) from error


def _assemble(origins: Sequence[Origin], files: dict[str, Path]) -> Path:
    """One folder with all files, since a manifest and its models stand side by side."""
    from huggingface_hub import cached_assets_path, constants

    name = "-".join(dict.fromkeys(origin.commit for origin in origins))
    assets = constants.HF_ASSETS_CACHE
    try:
        folder = cached_assets_path("mel_demo", "weights", name, assets_dir=assets)
        for name, source in files.items():
            target = folder / name
            if target.exists() and filecmp.cmp(source, target, shallow=False):
                continue
            partial = target.with_name(f"{name}.{os.getpid()}")
            shutil.copyfile(source, partial)
            partial.replace(target)
    except OSError as error:
        raise WeightsError(
            f"The weights cannot be kept in {assets} ({error.strerror}). Set HF_HOME to a folder "
            "that you may write to and that has room."
        ) from error
    return folder


def _forget(file: Path) -> None:
    """Remove a file from the client's cache, with the content that it links to."""
    file.resolve().unlink(missing_ok=True)
    file.unlink(missing_ok=True)


def _download(repo: str, name: str, revision: str) -> Path:
    # Here and not above: whoever serves from a folder needs none of it.
    from huggingface_hub import (
        constants,
        errors,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    at = f"{repo}@{revision}"
    try:
        cached = try_to_load_from_cache(repo, name, revision=revision)
        if isinstance(cached, str) and _COMMIT.fullmatch(revision):
            return Path(cached)
        # Asked once before the client does: it would try for half a minute to reach a Hub that is
        # not there.
        _ask(hf_hub_url(repo, name, revision=revision))
        return Path(hf_hub_download(repo, name, revision=revision, etag_timeout=ANSWER_SECONDS))
    except errors.HFValidationError as error:
        raise WeightsError(f"{repo!r} cannot be a repository of the Hub: {error}") from error
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"{repo} is open only to accounts that asked for it. Ask on its page, then sign in "
            "with `hf auth login` or set HF_TOKEN."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"{repo} is not on the Hub, or is private. Check the name; for a private repository "
            "sign in with `hf auth login` or set HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(
            f"{repo} has no revision {revision!r}. Name a commit or a tag of its history."
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise WeightsError(
            f"{at} has no {name}. A repository with one of the two models is served together with "
            f"the other's: {FORMS.rpartition(', or ')[2]}."
        ) from error
    except (
        errors.HTTPError,
        TimeoutError,
        ConnectionError,
        errors.LocalEntryNotFoundError,
    ) as error:
        # Whatever keeps the Hub from answering: what was fetched before is served.
        if isinstance(cached, str):
            _log.warning("%s: the Hub does not answer, served from the cache", at)
            return Path(cached)
        refused = isinstance(error, errors.HfHubHTTPError)
        raise WeightsError(
            f"The Hub at {constants.ENDPOINT} {'refused' if refused else 'cannot be reached'} "
            f"({_first_line(error)}), and {name} of {at} was never fetched to this "
            "machine. Try again later, check the network, or name a local folder."
        ) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: that of the Xet storage
        raise WeightsError(
            f"{name} of {at} did not arrive whole ({_first_line(error)}). Try again; what has "
            "arrived is kept."
        ) from error


def _ask(url: str) -> None:
    """Wait for an answer about a file: TimeoutError after ``ANSWER_SECONDS``, or what it says.

    In a thread, since looking up a name has no timeout of its own; a daemon, so that nobody waits
    for it at the end either.
    """
    from huggingface_hub import errors, get_hf_file_metadata

    answer: Future[object] = Future()

    def ask() -> None:
        try:
            answer.set_result(get_hf_file_metadata(url, timeout=ANSWER_SECONDS))
        except (errors.HTTPError, OSError) as error:
            answer.set_exception(error)

    Thread(target=ask, daemon=True).start()
    answer.result(ANSWER_SECONDS)


def _first_line(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return said[0].rstrip(".") if said else f"no answer within {ANSWER_SECONDS} s"
