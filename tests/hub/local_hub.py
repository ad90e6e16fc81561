"""A Hugging Face Hub for tests, on 127.0.0.1: repositories in memory behind the HTTP interface of the real one.

Endpoints and shapes are those that huggingface_hub 2.4, transformers 5 and datasets 5 call; files above 10 MB or of
binary formats go by Git LFS. Xet is not offered, so clients run with HF_HUB_DISABLE_XET=1.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

DATE = "2026-01-01T00:00:00.000Z"
PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
BINARY = (".safetensors", ".parquet", ".png", ".npy", ".fits", ".npz")


class HubError(Exception):
    """What the Hub refuses."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Blob:
    """Content of a file, by Git LFS if it has a sha256."""

    data: bytes
    sha256: str = ""

    @property
    def oid(self) -> str:
        content = self.data
        if self.sha256:
            content = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
                self.sha256.encode(),
                len(self.data),
            )
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def lfs(self) -> dict[str, Any]:
        return {"oid": self.sha256, "sha256": self.sha256, "size": len(self.data), "pointerSize": 130}


@dataclass
class PullRequest:
    """An open pull request; its files are at `refs/pr/NUMBER`."""

    number: int
    title: str
    base: str
    author: str


@dataclass
class Repository:
    """Branches of commits of files."""

    kind: str
    id: str
    private: bool = False
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pull_requests: list[PullRequest] = field(default_factory=list)

    def commit(self, files: dict[str, Blob], branch: str) -> str:
        number = f"{self.kind}{self.id}{len(self.commits)}"
        oid = hashlib.sha1(number.encode()).hexdigest()
        self.commits[oid] = files
        self.branches[branch] = oid
        return oid

    def at(self, revision: str) -> tuple[str, dict[str, Blob]]:
        oid = self.branches.get(revision, revision)
        if oid not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return oid, self.commits[oid]


class LocalHub:
    """The server.

    Attributes:
        endpoint: Its address, for HF_ENDPOINT.
        repositories: By kind and name.
        requests: `METHOD path` of every request, in order.
        breaks: Asked of every request; where true, the connection is cut in the middle of it.
        tokens: Tokens and the names that each may write to.
    """

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.uploaded: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.breaks: Callable[[str, str], bool] = lambda method, path: False
        self.tokens: dict[str, tuple[str, ...]] = {"hf_writer": ("ml4sci",), "hf_reader": ()}
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def files(self, name: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """Return what lies in a repository."""
        _, files = self.repositories[kind, name].at(revision)
        return {path: blob.data for path, blob in files.items() if path != ".gitattributes"}

    def repository(self, kind: str, name: str) -> Repository:
        if (kind, name) not in self.repositories:
            raise HubError(404, "Repository not found", "RepoNotFound")
        return self.repositories[kind, name]


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, payload: Any = None, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps({} if payload is None else payload).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _answer(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        self.query = {name: values[-1] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        with self.hub.lock:
            self.hub.requests.append(f"{self.command} {path}")
            cut = self.hub.breaks(self.command, path)
        if cut:
            self.rfile.read(1)
            self.close_connection = True
            self.connection.close()
            return
        body = self._body()
        try:
            with self.hub.lock:
                for pattern, answer in _ROUTES:
                    match = re.fullmatch(pattern, f"{self.command} {path}")
                    if match:
                        answer(self, body, *match.groups())
                        return
            raise HubError(404, f"no such endpoint: {self.command} {path}")
        except HubError as error:
            headers = {"X-Error-Message": str(error)} | ({"X-Error-Code": error.code} if error.code else {})
            self._send({"error": str(error)}, error.status, headers)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - the names of the base class

    def _token(self) -> str:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.hub.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        return token

    def _may_write(self, name: str) -> None:
        if name.partition("/")[0] not in self.hub.tokens[self._token()]:
            raise HubError(403, f"You don't have the rights to write to {name}")

    def _readable(self, kind: str, name: str) -> Repository:
        repository = self.hub.repository(kind, name)
        if repository.private:
            self._token()
        return repository

    # one method for each endpoint

    def whoami(self, body: bytes) -> None:
        self._token()
        self._send({"type": "user", "name": "tester", "fullname": "tester", "orgs": [], "auth": {}})

    def validate(self, body: bytes) -> None:
        text = json.loads(body)["content"]
        try:
            head = yaml.safe_load(re.match(r"---\n(.*?)\n---", text, re.DOTALL)[1])  # type: ignore[index]
            errors = [] if isinstance(head, dict) else [{"message": "metadata must be an object"}]
        except (yaml.YAMLError, TypeError):
            errors = [{"message": "Invalid YAML"}]
        self._send({"errors": errors, "warnings": []}, 400 if errors else 200)

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        kind = asked.get("type") or "model"
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        self._may_write(name)
        url = f"{self.hub.endpoint}/{PREFIXES[kind]}{name}"
        if (kind, name) in self.hub.repositories:
            self._send({"error": "You already created this repo", "url": url}, 409)
            return
        repository = Repository(kind, name, bool(asked.get("private") or asked.get("visibility") == "private"))
        repository.commit({".gitattributes": Blob(b"*.safetensors filter=lfs\n")}, "main")
        self.hub.repositories[kind, name] = repository
        self._send({"url": url, "name": name, "id": "0" * 24})

    def _may_commit(self, kind: str, name: str) -> None:
        """Whoever can read may propose."""
        if "create_pr" in self.query:
            self._token()
            self._readable(kind, name)
        else:
            self._may_write(name)

    def preupload(self, body: bytes, kind: str, name: str, revision: str) -> None:
        self._may_commit(kind, name)
        self.hub.repository(kind, name).at(revision)
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(BINARY) or file["size"] > 10 << 20 else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._send({"files": files})

    def batch(self, body: bytes, prefix: str | None, name: str) -> None:
        asked = json.loads(body)
        # clients name no branch where they mean to propose
        if "ref" in asked:
            self._may_write(name)
        else:
            self._token()
        objects = []
        for entry in asked["objects"]:
            actions = {
                "upload": {"href": f"{self.hub.endpoint}/lfs/{entry['oid']}"},
                "verify": {"href": f"{self.hub.endpoint}/lfs-verify"},
            }
            there = entry["oid"] in self.hub.uploaded
            objects.append({"oid": entry["oid"], "size": entry["size"]} | ({} if there else {"actions": actions}))
        self._send({"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            raise HubError(400, "sha256 mismatch")
        self.hub.uploaded[oid] = body
        self._send(b"")

    def verify(self, body: bytes) -> None:
        self._send({}, 200 if json.loads(body)["oid"] in self.hub.uploaded else 404)

    def commit(self, body: bytes, kind: str, name: str, revision: str) -> None:
        self._may_commit(kind, name)
        repository = self.hub.repository(kind, name)
        newest, files = repository.at(revision)
        title = ""
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                title, parent = value["summary"], value.get("parentCommit", newest)
                if parent != newest and "create_pr" not in self.query:
                    raise HubError(412, "A commit has happened since. Please refresh and try again.")
                files = dict(repository.at(parent)[1])
            elif line["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.uploaded:
                    raise HubError(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = Blob(self.hub.uploaded[value["oid"]], value["oid"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        url = f"{self.hub.endpoint}/{PREFIXES[kind]}{name}"
        answer = {"success": True, "hookOutput": ""}
        if "create_pr" in self.query:
            number = len(repository.pull_requests) + 1
            repository.pull_requests.append(PullRequest(number, title, revision, self._token()))
            revision = f"refs/pr/{number}"
            answer["pullRequestUrl"] = f"{url}/discussions/{number}"
        oid = repository.commit(files, revision)
        self._send(answer | {"commitOid": oid, "commitUrl": f"{url}/commit/{oid}"})

    def info(self, body: bytes, kind: str, name: str, revision: str | None) -> None:
        repository = self._readable(kind, name)
        oid, files = repository.at(revision or "main")
        card = {}
        if "README.md" in files:
            text = files["README.md"].data.decode()
            card = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else {}
        siblings = [{"rfilename": path, "blobId": blob.oid, "size": len(blob.data)} for path, blob in files.items()]
        self._send(
            {"_id": "0" * 24, "id": name, "author": name.partition("/")[0], "sha": oid, "private": repository.private}
            | {"tags": card.get("tags", []), "cardData": card, "siblings": siblings, "lastModified": DATE}
            | {"createdAt": DATE, "downloads": 0, "likes": 0, "gated": False, "disabled": False}
            | ({"pipeline_tag": card.get("pipeline_tag"), "modelId": name} if kind == "model" else {})
        )

    def tree(self, body: bytes, kind: str, name: str, revision: str, folder: str | None) -> None:
        _, files = self._readable(kind, name).at(revision)
        start = f"{folder.strip('/')}/" if folder and folder.strip("/") else ""
        recursive = self.query.get("recursive", "").lower() in ("1", "true")
        entries: dict[str, dict[str, Any]] = {}
        for path, blob in sorted(files.items()):
            if not path.startswith(start):
                continue
            parts = path.removeprefix(start).split("/")
            for depth in range(1, len(parts)):
                place = start + "/".join(parts[:depth])
                if recursive or depth == 1:
                    entries[place] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": place}
            if recursive or len(parts) == 1:
                entries[path] = self._entry(path, blob)
        if start and not entries:
            raise HubError(404, f"{folder} does not exist", "EntryNotFound")
        self._send(list(entries.values()))

    @staticmethod
    def _entry(path: str, blob: Blob) -> dict[str, Any]:
        entry = {"type": "file", "oid": blob.oid, "size": len(blob.data), "path": path}
        return entry | ({"lfs": blob.lfs} if blob.sha256 else {})

    def paths(self, body: bytes, kind: str, name: str, revision: str) -> None:
        _, files = self._readable(kind, name).at(revision)
        as_json = "json" in (self.headers.get("Content-Type") or "")
        asked = json.loads(body)["paths"] if as_json else parse_qs(body.decode())["paths"]
        found = [self._entry(path, files[path]) for path in asked if path in files]
        folders = [path for path in asked if any(file.startswith(f"{path.rstrip('/')}/") for file in files)]
        self._send(found + [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders])

    def refs(self, body: bytes, kind: str, name: str) -> None:
        repository = self._readable(kind, name)
        branches = [
            {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": oid}
            for branch, oid in repository.branches.items()
        ]
        self._send({"branches": branches, "tags": [], "converts": [], "pullRequests": []})

    def discussions(self, body: bytes, kind: str, name: str) -> None:
        found = self._readable(kind, name).pull_requests if self.query.get("status") != "closed" else []
        # two to a page
        start = 2 * int(self.query.get("p", 0))
        page = [self._discussion(kind, name, each) for each in found[start : start + 2]]
        self._send({"discussions": page, "start": start, "count": len(found)})

    def discussion(self, body: bytes, kind: str, name: str, number: str) -> None:
        found = self._readable(kind, name).pull_requests[int(number) - 1]
        details = {"changes": {"base": f"refs/heads/{found.base}"}, "filesWithConflicts": [], "events": [], "diff": ""}
        self._send(self._discussion(kind, name, found) | details)

    @staticmethod
    def _discussion(kind: str, name: str, found: PullRequest) -> dict[str, Any]:
        return {
            "num": found.number,
            "title": found.title,
            "author": {"name": found.author},
            "createdAt": DATE,
            "status": "open",
            "isPullRequest": True,
            "repo": {"name": name, "type": kind},
        }

    def branch(self, body: bytes, kind: str, name: str, branch: str) -> None:
        self._may_write(name)
        repository = self.hub.repository(kind, name)
        if branch in repository.branches:
            raise HubError(409, "Reference already exists")
        repository.branches[branch] = repository.at((json.loads(body or b"{}")).get("startingPoint") or "main")[0]
        self._send(b"OK")

    def resolve(self, body: bytes, prefix: str | None, name: str, revision: str, path: str) -> None:
        kind = (prefix or "models/")[:-2]
        oid, files = self._readable(kind, name).at(revision)
        if path not in files:
            headers = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": oid}
            self._send({"error": "Entry not found"}, 404, headers)
            return
        blob = files[path]
        headers = {"ETag": f'"{blob.sha256 or blob.oid}"', "X-Repo-Commit": oid, "Accept-Ranges": "bytes"}
        if blob.sha256:
            headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted and self.command == "GET":
            first, last = int(wanted[1]), int(wanted[2] or len(blob.data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(blob.data)}"
            self._send(blob.data[first : last + 1], 206, headers)
            return
        self._send(blob.data, 200, headers)


_ROUTES: list[tuple[str, Callable[..., None]]] = [
    (r"GET /api/whoami-v2", _Handler.whoami),
    (r"POST /api/validate-yaml", _Handler.validate),
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/(model|dataset|space)s/([^/]+/[^/]+)/preupload/(.+)", _Handler.preupload),
    (r"POST /(datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /lfs/([0-9a-f]{64})", _Handler.upload),
    (r"POST /lfs-verify", _Handler.verify),
    (r"POST /api/(model|dataset|space)s/([^/]+/[^/]+)/commit/(.+)", _Handler.commit),
    (r"(?:GET|HEAD) /api/(model|dataset|space)s/([^/]+/[^/]+)(?:/revision/(.+))?", _Handler.info),
    (r"GET /api/(model|dataset|space)s/([^/]+/[^/]+)/tree/(refs/pr/\d+|[^/]+)(/.*)?", _Handler.tree),
    (r"POST /api/(model|dataset|space)s/([^/]+/[^/]+)/paths-info/(.+)", _Handler.paths),
    (r"GET /api/(model|dataset|space)s/([^/]+/[^/]+)/refs", _Handler.refs),
    (r"POST /api/(model|dataset|space)s/([^/]+/[^/]+)/branch/(.+)", _Handler.branch),
    (r"GET /api/(model|dataset|space)s/([^/]+/[^/]+)/discussions", _Handler.discussions),
    (r"GET /api/(model|dataset|space)s/([^/]+/[^/]+)/discussions/(\d+)", _Handler.discussion),
    (r"(?:GET|HEAD) /(datasets/|spaces/)?([^/]+/[^/]+)/resolve/(refs/pr/\d+|[^/]+)/(.+)", _Handler.resolve),
]
