"""A small Hugging Face Hub on loopback, for the tests: the real client talks to it over HTTP.

    with hub_stand_in() as hub:
        HfApi(endpoint=hub.url, token=hub.token).create_repo("me/model")

It keeps repositories, their commits and tags in memory, and speaks what ``huggingface_hub`` asks
for: create, preupload, LFS batch and upload, commit, tag, revision, refs, tree and resolve. Files
of ``LFS_SUFFIXES`` go through LFS. It offers no Xet: set HF_HUB_DISABLE_XET, or monkeypatch
``huggingface_hub.constants.HF_HUB_DISABLE_XET``. ``fail`` orders failures.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".onnx", ".safetensors", ".png", ".jpg")
TOKEN, USER = "hf_standin", "me"
_REPO = r"(?P<kind>models|datasets|spaces)/(?P<repo>[^/]+/[^/]+)"


@dataclass
class Commit:
    """One commit: its 40 hexadecimal digits, and the files as they are then, by path."""

    oid: str
    files: Mapping[str, bytes]


@dataclass
class Repo:
    """A repository: commits, oldest first, tags, and the payload that created it."""

    created: dict
    commits: list[Commit]
    tags: dict[str, str] = field(default_factory=dict)
    pull_requests: list[Commit] = field(default_factory=list)

    def commit(self, revision: str) -> Commit | None:
        """The commit that a branch, tag or hash names."""
        oid = self.commits[-1].oid if revision == "main" else self.tags.get(revision, revision)
        known = [*self.commits, *self.pull_requests]
        return next((commit for commit in known if commit.oid == oid), None)


@dataclass
class Failure:
    """Answers to give ``times`` times where method and path fit."""

    method: str
    path: str
    status: int | None
    headers: Mapping[str, str]
    times: int


class Hub:
    """What tests see of the stand-in."""

    token, user = TOKEN, USER

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.lock = threading.RLock()
        self._failures: list[Failure] = []
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def stopped(self) -> bool:
        return self._server is None

    @property
    def url(self) -> str:
        """What to give as endpoint, or as HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._port}"

    def environment(self, home: object) -> dict[str, str]:
        """For a process of its own: this Hub, its token, and a cache below ``home``."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def files(self, repo: str, revision: str = "main", kind: str = "models") -> Mapping[str, bytes]:
        """Files of a commit by path."""
        return self.repos[f"{kind}/{repo}"].commit(revision).files

    def history(self, repo: str, kind: str = "models") -> list[str]:
        """Commit hashes, oldest first, without the empty one that creation makes."""
        return [commit.oid for commit in self.repos[f"{kind}/{repo}"].commits[1:]]

    def put(self, repo: str, files: Mapping[str, bytes], kind: str = "models") -> str:
        """Replace a repository's files without the client; the new commit's hash."""
        made = self.repos.setdefault(f"{kind}/{repo}", Repo({}, [Commit(_oid("", {}), {})]))
        return self.add_commit(made, dict(files)).oid

    def tamper(self, repo: str, path: str, content: bytes) -> None:
        """Change a file's bytes in the latest commit, whose hash stays."""
        latest = self.repos[f"models/{repo}"].commits[-1]
        latest.files = {**latest.files, path: content}

    def add_commit(self, repo: Repo, files: dict[str, bytes]) -> Commit:
        commit = Commit(_oid(repo.commits[-1].oid, files), files)
        repo.commits.append(commit)
        return commit

    def fail(
        self,
        path: str,
        status: int | None,
        method: str = "",
        times: int = 1,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer ``status`` the next ``times`` times to what ``path``, a pattern, is found in.

        Without a status the connection is cut after the first bytes.
        """
        self._failures.append(Failure(method, path, status, headers or {}, times))

    def failure(self, method: str, path: str) -> Failure | None:
        with self.lock:
            for failure in self._failures:
                fits = failure.method in ("", method) and re.search(failure.path, path)
                if failure.times and fits:
                    failure.times -= 1
                    return failure
        return None

    def start(self) -> None:
        """Listen; on the port of before, if there was one."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """The network is gone: connections are refused until ``start``."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()


@contextmanager
def hub_stand_in() -> Iterator[Hub]:
    """A running stand-in, stopped at the end."""
    hub = Hub()
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


def _oid(parent: str, files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha1(f"{parent} {time.monotonic_ns()}".encode())
    for path, content in sorted(files.items()):
        digest.update(path.encode() + content)
    return digest.hexdigest()


def _is_lfs(path: str) -> bool:
    return path.endswith(LFS_SUFFIXES)


def _etag(path: str, content: bytes) -> str:
    """SHA-256 of an LFS file, git's own hash of any other, as on the Hub."""
    if _is_lfs(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Answer(Exception):
    """An error to answer with."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _handle(self) -> None:
        if self.hub.stopped:  # the client's connections outlive the listening socket
            self._cut()
            return
        address = urlsplit(self.path)
        path = unquote(address.path)
        self.query = parse_qs(address.query)
        self.body = self._read()
        self.hub.requests.append(f"{self.command} {path}")
        failure = self.hub.failure(self.command, path)
        if failure is not None and failure.status is not None:
            self._json({"error": "ordered by a test"}, failure.status, failure.headers)
            return
        try:
            with self.hub.lock:
                self._route(path, cut=failure is not None)
        except _Answer as error:
            headers = {"X-Error-Code": error.code} if error.code else {}
            headers["X-Error-Message"] = str(error)
            self._json({"error": str(error)}, error.status, headers)
        except BrokenPipeError:
            self.close_connection = True

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _route(self, path: str, cut: bool) -> None:
        if cut and self.command not in ("GET", "HEAD"):
            self._cut()
            return
        if path == "/api/whoami-v2":
            self._signed_in()
            self._json({"name": USER, "type": "user", "orgs": []})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(self.body))
        elif match := re.fullmatch(rf"/api/{_REPO}(?:/(?P<what>[^/]+)(?:/(?P<rest>.*))?)?", path):
            self._of_repo(**match.groupdict())
        elif match := re.fullmatch(r"/(?P<repo>.+)\.git/info/lfs/objects/batch", path):
            self._batch(json.loads(self.body))
        elif match := re.fullmatch(r"/lfs/(\w+)", path):
            self._store(match[1])
        elif match := re.fullmatch(
            r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/]+/[^/]+)"
            r"/resolve/(?P<revision>[^/]+)/(?P<file>.+)",
            path,
        ):
            kind = match["kind"] or "models"
            self._resolve(f"{kind}/{match['repo']}", match["revision"], match["file"], cut)
        else:
            raise _Answer(404, f"The stand-in knows no {self.command} {path}")

    def _signed_in(self) -> None:
        given = self.headers.get("Authorization", "")
        if given != f"Bearer {TOKEN}":
            said = "Invalid credentials in Authorization header" if given else "No token was given"
            raise _Answer(401, said)

    def _create(self, asked: dict) -> None:
        self._signed_in()
        owner = asked.get("organization") or USER
        if owner != USER:
            raise _Answer(403, f"You don't have the rights to create a repo under {owner}")
        kind = "spaces" if asked.get("type") == "space" else "models"
        name = f"{owner}/{asked['name']}"
        url = f"{self.hub.url}/{'spaces/' if kind == 'spaces' else ''}{name}"
        if f"{kind}/{name}" in self.hub.repos:
            self._json({"error": "You already created this repo", "url": url}, 409)
            return
        self.hub.repos[f"{kind}/{name}"] = Repo(asked, [Commit(_oid("", {}), {})])
        self._json({"url": url, "name": name, "id": name})

    def _repo(self, kind: str, repo: str) -> Repo:
        found = self.hub.repos.get(f"{kind}/{repo}")
        private = found is not None and found.created.get("visibility") == "private"
        if found is None or (private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            # Without a token the Hub does not say whether a repository exists.
            raise _Answer(404, "Repository not found", "RepoNotFound")
        return found

    def _commit(self, repo: Repo, revision: str) -> Commit:
        found = repo.commit(revision)
        if found is None:
            raise _Answer(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def _of_repo(self, kind: str, repo: str, what: str | None, rest: str | None) -> None:
        found = self._repo(kind, repo)
        rest = rest or "main"
        if self.command == "POST" and what != "paths-info":
            self._signed_in()
            if repo.split("/")[0] != USER:
                raise _Answer(403, "You don't have the rights to write to this repo")
        if what in (None, "revision"):
            commit = self._commit(found, rest if what else "main")
            siblings = [{"rfilename": path} for path in commit.files]
            private = found.created.get("visibility") == "private"
            self._json({"id": repo, "sha": commit.oid, "siblings": siblings, "private": private})
        elif what == "refs":
            tags = [
                {"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid}
                for name, oid in found.tags.items()
            ]
            branch = {"name": "main", "ref": "refs/heads/main"}
            branch["targetCommit"] = found.commits[-1].oid
            self._json({"branches": [branch], "tags": tags, "converts": []})
        elif what == "tag":
            name = json.loads(self.body)["tag"]
            if name in found.tags:
                raise _Answer(409, "Tag reference exists already")
            found.tags[name] = self._commit(found, rest).oid
            self._json({})
        elif what == "tree":
            revision, _, folder = rest.partition("/")
            self._json(_tree(self._commit(found, revision).files, folder))
        elif what == "paths-info":
            files = self._commit(found, rest).files
            asked = json.loads(self.body)["paths"]
            self._json([_entry(path, files[path]) for path in asked if path in files])
        elif what == "preupload":
            files = self._commit(found, rest).files
            self._json(
                {
                    "files": [
                        {
                            "path": file["path"],
                            "uploadMode": "lfs" if _is_lfs(file["path"]) else "regular",
                            "shouldIgnore": False,
                            "oid": _etag(file["path"], files[file["path"]])
                            if file["path"] in files
                            else None,
                        }
                        for file in json.loads(self.body)["files"]
                    ]
                }
            )
        elif what == "commit":
            self._add_commit(kind, repo, found)
        elif what == "hardware":
            found.created["hardware"] = json.loads(self.body)["flavor"]
            self._json({"stage": "BUILDING", "hardware": {"requested": json.loads(self.body)}})
        else:
            raise _Answer(404, f"The stand-in knows no {self.command} {self.path}")

    def _add_commit(self, kind: str, name: str, repo: Repo) -> None:
        files = dict(repo.commits[-1].files)
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                parent = value.get("parentCommit")
                if parent not in (None, repo.commits[-1].oid):
                    raise _Answer(412, "The repository has changed since the parent commit")
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.blobs:
                    raise _Answer(400, f"LFS object {value['oid']} was never uploaded")
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "deletedFolder":
                folder = value["path"].rstrip("/") + "/"
                files = {path: data for path, data in files.items() if not path.startswith(folder)}
        base = f"{self.hub.url}/{'spaces/' if kind == 'spaces' else ''}{name}"
        if "create_pr" in self.query:
            commit = Commit(_oid(repo.commits[-1].oid, files), files)
            repo.pull_requests.append(commit)
            url = f"{base}/discussions/{len(repo.pull_requests)}"
            extra = {"pullRequestUrl": url}
        else:
            commit, extra = self.hub.add_commit(repo, files), {}
        self._json(
            {"success": True, "commitOid": commit.oid, "commitUrl": f"{base}/commit/{commit.oid}"}
            | extra
        )

    def _batch(self, asked: dict) -> None:
        self._signed_in()
        objects = []
        for wanted in asked["objects"]:
            upload = {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"}}
            known = wanted["oid"] in self.hub.blobs
            objects.append(wanted if known else {**wanted, "actions": upload})
        self._json({"transfer": "basic", "objects": objects})

    def _store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Answer(400, "The upload is not what its hash says")
        self.hub.blobs[oid] = self.body
        self._json({})

    def _resolve(self, key: str, revision: str, path: str, cut: bool) -> None:
        kind, _, name = key.partition("/")
        commit = self._commit(self._repo(kind, name), revision)
        if path not in commit.files:
            raise _Answer(404, f"Entry not found: {path}", "EntryNotFound")
        content = commit.files[path]
        headers = {"ETag": f'"{_etag(path, content)}"', "X-Repo-Commit": commit.oid}
        headers["Accept-Ranges"] = "bytes"
        status, start = 200, 0
        if (asked := self.headers.get("Range")) and self.command == "GET":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            whole, status, start = len(content), 206, int(first)
            content = content[: int(last) + 1 if last else whole]
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{whole}"
        self._send(content[start:], status, headers, cut)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _json(
        self, value: object, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        named = {"Content-Type": "application/json", **(headers or {})}
        self._send(json.dumps(value).encode(), status, named)

    def _send(
        self, content: bytes, status: int, headers: Mapping[str, str], cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.wfile.flush()
            self._cut()


def _entry(path: str, content: bytes) -> dict:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _etag(path, content)}
    if _is_lfs(path):
        entry["lfs"] = {"oid": entry["oid"], "size": len(content), "pointerSize": 130}
    return entry


def _tree(files: Mapping[str, bytes], folder: str) -> list[dict]:
    folders = {str(above) for path in files for above in PurePosixPath(path).parents[:-1]}
    found = [_entry(path, files[path]) for path in files]
    found += [{"type": "directory", "path": path, "oid": _oid("", {})} for path in folders]
    below = (entry for entry in found if entry["path"].startswith(folder))
    return sorted(below, key=lambda entry: entry["path"])
