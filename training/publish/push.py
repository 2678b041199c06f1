"""`training push`: teacher and student to the Hub, each repository in one commit.

Everything that can be checked is checked before the first byte is sent; a second run finishes what
a first one began, and makes no commit where nothing has changed. What the Hub refuses is said in
words that help.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, errors
from huggingface_hub.utils import validate_repo_id
from rich.console import Console

from mel_demo.manifest import load_manifest
from training.errors import PublishError
from training.provenance import git_commit
from training.publish.repository import REPOSITORIES, build_repository


@dataclass(frozen=True)
class Pushed:
    """A repository, the commit that now holds the files, and the page that shows it."""

    repo: str
    commit: str
    url: str


def write_folders(
    repos: Mapping[str, str],
    weights: Path,
    runs: Mapping[str, Path],
    output: Path,
    allow_dirty: bool = False,
) -> dict[str, Path]:
    """Write the folders of ``repos`` (role -> repository) below ``output``, checked; by role.

    ``runs``: the training runs by role. Raises PublishError or what reading the weights raises.
    """
    unclean = is_unclean(allow_dirty)
    with explained("Repository names"):
        for repo in repos.values():
            validate_repo_id(repo)
            if "/" not in repo:
                raise ValueError(f"{repo!r} has no owner: name it USER/REPO.")
    if len(set(repos.values())) < len(repos):
        raise PublishError(f"Teacher and student would overwrite each other in {repos['teacher']}.")
    manifest = load_manifest(weights)
    return {
        role: build_repository(
            role, manifest, weights, runs[role], dict(repos), output / role, unclean
        )
        for role in REPOSITORIES
    }


def is_unclean(allowed: bool) -> bool:
    """Whether the source tree has changes in no commit; PublishError where that is not allowed."""
    unclean = git_commit().endswith(("-dirty", "unknown"))
    if unclean and not allowed:
        raise PublishError(
            "The source tree has changes that are in no commit, so that nobody could find the code "
            "of this release. Commit them, or give --allow-dirty, which the card will say."
        )
    return unclean


def push(
    repos: Mapping[str, str],
    folders: Mapping[str, Path],
    private: bool = False,
    create_pr: bool = False,
    tag: str | None = None,
) -> dict[str, Pushed]:
    """Upload the folders of ``write_folders``; by role. PublishError says what the Hub refused."""
    if create_pr and tag:
        raise PublishError("A pull request has no place for a tag: give --tag when it is merged.")
    api = HfApi(endpoint=constants.ENDPOINT)
    with explained("Sign in"):
        api.whoami()
    for repo in repos.values():
        with explained(f"Create {repo}"):
            api.create_repo(repo, private=private or None, exist_ok=True)
    pushed = {}
    for role, repo in repos.items():
        message = f"Publish the {role} of {load_manifest(folders[role]).created[:10]}"
        pushed[role] = upload(api, repo, folders[role], message, create_pr=create_pr, tag=tag)
    return pushed


def upload(
    api: HfApi,
    repo: str,
    folder: Path,
    message: str,
    *,
    kind: str = "model",
    create_pr: bool = False,
    tag: str | None = None,
) -> Pushed:
    """Make the repository hold exactly the files of ``folder``, in one commit."""
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    with explained(f"Upload to {repo}"):
        old = set(api.list_repo_files(repo, repo_type=kind)) - files.keys() - {".gitattributes"}
        operations: list[CommitOperationAdd | CommitOperationDelete] = []
        operations += [CommitOperationAdd(name, path) for name, path in sorted(files.items())]
        operations += [CommitOperationDelete(name) for name in sorted(old)]
        made = api.create_commit(
            repo, operations, commit_message=message, repo_type=kind, create_pr=create_pr
        )
        if tag:
            api.create_tag(repo, tag=tag, revision=made.oid, repo_type=kind, exist_ok=True)
            named = api.repo_info(repo, revision=tag, repo_type=kind).sha
            if named != made.oid:
                raise PublishError(
                    f"Tag {tag} of {repo} already names commit {str(named)[:12]}, not "
                    f"{made.oid[:12]}. "
                    "A tag that was given is not moved: choose another."
                )
    return Pushed(repo, made.oid, made.pr_url or made.commit_url)


def publish(
    repos: Mapping[str, str],
    weights: Path,
    runs: Mapping[str, Path],
    allow_dirty: bool = False,
    private: bool = False,
    create_pr: bool = False,
    tag: str | None = None,
    dry: Path | None = None,
) -> list[str]:
    """``write_folders`` and ``push``; returns what to tell. ``dry``: folder to write to instead."""
    if dry is not None:
        folders = write_folders(repos, weights, runs, dry, allow_dirty)
        return [f"{repos[role]}: read {folder}" for role, folder in folders.items()]
    with tempfile.TemporaryDirectory() as name, Console().status("Checking, then uploading"):
        folders = write_folders(repos, weights, runs, Path(name), allow_dirty)
        pushed = push(repos, folders, private, create_pr, tag)
    pages = [made.url for made in pushed.values()]
    return pages if create_pr else [*pages, f"MEL_WEIGHTS={source(pushed)}"]


def source(pushed: Mapping[str, Pushed]) -> str:
    """What MEL_WEIGHTS is set to, to serve exactly what was pushed."""
    return ",".join(f"{pushed[role].repo}@{pushed[role].commit}" for role in REPOSITORIES)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


_AGAIN = "Run the same command again: what has arrived stays, and it goes on from there."


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the client's errors while ``what`` is done into PublishError."""
    try:
        yield
    except errors.LocalTokenNotFoundError as error:
        raise PublishError(
            f"{what}: nobody is signed in. Run `hf auth login`, or set HF_TOKEN, with a token that "
            "may write."
        ) from error
    except (errors.HFValidationError, ValueError) as error:
        raise PublishError(f"{what}: {error}") from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled, OSError, RuntimeError) as error:
        raise PublishError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    # An upload's error arrives inside others.
    while not isinstance(error, errors.HfHubHTTPError) and error.__cause__ is not None:
        error = error.__cause__
    if not isinstance(error, errors.HfHubHTTPError):
        said = str(error).strip().splitlines()
        return f"the Hub cannot be reached ({said[0] if said else type(error).__name__}). {_AGAIN}"
    status, headers = error.response.status_code, error.response.headers
    if status == 401:
        return "the token is missing or wrong. Run `hf auth login`, or set HF_TOKEN."
    if status == 403:
        return "the token may not write there. Name a repository of yours, or a token that may."
    if status == 404:
        return "there is no such repository or revision, or the token may not see it."
    if status == 429:
        wait = headers.get("Retry-After")
        return f"the Hub asks to wait{f' {wait} s' if wait else ''} (429). {_AGAIN}"
    first = str(error).strip().splitlines()[0]
    return f"the Hub answered {status} ({first}). {_AGAIN}"
