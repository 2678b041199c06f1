"""`training push`: teacher and student to the Hub, each repository in one commit.

Everything that can be checked is checked before the first byte is sent; a second run finishes what
a first one began, and makes no commit where nothing has changed.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.utils import validate_repo_id

from mel_demo.manifest import load_manifest
from training.errors import PublishError
from training.files import git_commit
from training.hub_errors import explained
from training.hub_repo import ROLES, build


@dataclass(frozen=True)
class Pushed:
    """A repository, the commit that now holds the files, and the page that shows it."""

    repo: str
    commit: str
    url: str


def prepare(
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
        role: build(role, manifest, weights, runs[role], dict(repos), output / role, unclean)
        for role in ROLES
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
    """Upload the folders of ``prepare``; by role. PublishError says what the Hub refused."""
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
        operations = [CommitOperationAdd(name, path) for name, path in sorted(files.items())]
        operations += [CommitOperationDelete(name) for name in sorted(old)]
        made = api.create_commit(
            repo, operations, commit_message=message, repo_type=kind, create_pr=create_pr
        )
        if tag:
            api.create_tag(repo, tag=tag, revision=made.oid, repo_type=kind, exist_ok=True)
            named = api.repo_info(repo, revision=tag, repo_type=kind).sha
            if named != made.oid:
                raise PublishError(
                    f"Tag {tag} of {repo} already names commit {named[:12]}, not {made.oid[:12]}. "
                    "A tag that was given is not moved: choose another."
                )
    return Pushed(repo, made.oid, made.pr_url or made.commit_url)


def publish(
    repos: Mapping[str, str],
    weights: Path,
    runs: Mapping[str, Path],
    *,
    allow_dirty: bool = False,
    **options: bool | str | None,
) -> dict[str, Pushed]:
    """``prepare`` and ``push``, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folders = prepare(repos, weights, runs, Path(name), allow_dirty)
        return push(repos, folders, **options)


def source(pushed: Mapping[str, Pushed]) -> str:
    """What MEL_WEIGHTS is set to, to serve exactly what was pushed."""
    return ",".join(f"{pushed[role].repo}@{pushed[role].commit}" for role in ROLES)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
