"""A Hub on 127.0.0.1 that speaks the real one's protocol: revisions, trees in pages, LFS redirects.

What it answers follows the public API that huggingface_hub calls: `/api/{kind}s/{id}/revision/...`,
`/api/{kind}s/{id}/tree/...` with a `Link` to the next page, and `/{id}/resolve/{commit}/{path}`
with `X-Repo-Commit`, `ETag`, and for files in LFS a redirect with `X-Linked-Etag` and
`X-Linked-Size`; errors name themselves in `X-Error-Code`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 3
IN_LFS = (".safetensors", ".parquet", ".bin")
API = re.compile(r"/api/(model|dataset)s/([^/]+/[^/]+)/(revision|tree)/([^/?]+)")
RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


def git_blob(content: bytes) -> str:
    """The SHA-1 that git names a content by."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    """The name of a content in LFS."""
    return hashlib.sha256(content).hexdigest()


@dataclass
class Repository:
    """Commits are file trees; references (branches, tags, conversions) name commits."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def push(self, files: dict[str, bytes], reference: str = "main") -> str:
        """Commit a whole tree, and move a reference to it."""
        names = json.dumps([len(self.commits), sorted((n, sha256(c)) for n, c in files.items())])
        commit = hashlib.sha1(names.encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.references[reference] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """The commit that a revision names."""
        found = self.references.get(revision, revision)
        return found if found in self.commits else None


class HubServer:
    """The server: its repositories, what was asked of it, and ways in which it misbehaves."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[str] = []
        self.failing: int | None = None
        self.damaged: dict[str, bytes] = {}
        hub = self

        class Handler(_Handler):
            server_hub = hub

        # the Hub and the origin that its redirects lead to
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def storage(self) -> str:
        """Where files in LFS are fetched from; another origin than the Hub's."""
        return f"http://127.0.0.1:{self._servers[1].server_address[1]}"

    def repository(self, kind: str, name: str) -> Repository:
        """A repository, made when it is first named."""
        return self.repositories.setdefault((kind, name), Repository())

    def close(self) -> None:
        """Stop listening."""
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Requests are kept, not printed."""

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def _route(self) -> None:
        hub = self.server_hub
        hub.requests.append(f"{self.command} {self.path}")
        if hub.failing is not None:
            self._answer(hub.failing, b"{}")
            return
        parts = urlsplit(self.path)
        if match := API.fullmatch(parts.path):
            kind, name, what, revision = match.groups()
            self._api(kind, name, what, unquote(revision), parse_qs(parts.query))
        elif match := RESOLVE.fullmatch(parts.path):
            dataset, name, revision, path = match.groups()
            kind = "dataset" if dataset else "model"
            self._resolve(kind, name, unquote(revision), unquote(path))
        elif parts.path.startswith("/cdn/"):
            self._cdn(parts.path.removeprefix("/cdn/"))
        else:
            self._error(404, None, "there is nothing here")

    def _found(self, kind: str, name: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.server_hub.repositories.get((kind, name))
        if repository is None:  # the Hub does not tell a stranger what is missing from private
            self._error(401, "RepoNotFound", "Invalid username or password.")
            return None
        commit = repository.resolve(revision)
        if commit is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, commit

    def _api(self, kind: str, name: str, what: str, revision: str, query: dict[str, Any]) -> None:
        found = self._found(kind, name, revision)
        if found is None:
            return
        repository, commit = found
        files = repository.commits[commit]
        if what == "revision":
            siblings = [{"rfilename": path} for path in sorted(files)]
            fields = {"_id": "0" * 24, "id": name, "sha": commit, "private": False, "tags": []}
            self._json({**fields, "gated": repository.gated, "downloads": 0, "siblings": siblings})
            return
        start = int(query.get("cursor", ["0"])[0])
        entries = self._tree(files)
        links = {}
        if start + PAGE < len(entries):
            base = f"{self.server_hub.url}{urlsplit(self.path).path}?recursive=True&expand=False"
            links["Link"] = f'<{base}&cursor={start + PAGE}>; rel="next"'
        self._json(entries[start : start + PAGE], links)

    @staticmethod
    def _tree(files: dict[str, bytes]) -> list[dict[str, Any]]:
        folders = {str(parent) for path in files for parent in Path(path).parents} - {"."}
        entries: list[dict[str, Any]] = [
            {"type": "directory", "oid": "0" * 40, "size": 0, "path": folder}
            for folder in sorted(folders)
        ]
        for path, content in sorted(files.items()):
            entry = {"type": "file", "size": len(content), "path": path, "oid": git_blob(content)}
            if path.endswith(IN_LFS):
                entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
            entries.append(entry)
        return entries

    def _resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        found = self._found(kind, name, revision)
        if found is None:
            return
        repository, commit = found
        if repository.gated:
            self._error(401, "GatedRepo", f"Access to {kind} {name} is restricted.")
            return
        content = repository.commits[commit].get(path)
        head = {"X-Repo-Commit": commit}
        if content is None:
            self._error(404, "EntryNotFound", "Entry not found", head)
        elif path.endswith(IN_LFS):
            linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
            to = f"{self.server_hub.storage}/cdn/{sha256(content)}"
            self._answer(302, b"", {**head, **linked, "Location": to, "Accept-Ranges": "bytes"})
        else:
            content = self.server_hub.damaged.get(path, content)
            self._content(content, {**head, "ETag": f'"{git_blob(content)}"'})

    def _cdn(self, digest: str) -> None:
        for repository in self.server_hub.repositories.values():
            for files in repository.commits.values():
                for path, content in files.items():
                    if sha256(content) == digest:
                        served = self.server_hub.damaged.get(path, content)
                        self._content(served, {"ETag": f'"{digest}"'})
                        return
        self._error(404, None, "no such object")

    def _content(self, content: bytes, headers: dict[str, str]) -> None:
        headers = {**headers, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._answer(200, content, headers)
            return
        start, stop = int(asked[1]), int(asked[2] or len(content) - 1) + 1
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        self._answer(206, content[start:stop], headers)

    def _json(self, value: Any, headers: dict[str, str] | None = None) -> None:
        kind = {"Content-Type": "application/json"}
        self._answer(200, json.dumps(value).encode(), {**kind, **(headers or {})})

    def _error(
        self, status: int, code: str | None, message: str, headers: dict[str, str] | None = None
    ) -> None:
        named = {"X-Error-Code": code} if code else {}
        told = {"X-Error-Message": message, **named, **(headers or {})}
        self._answer(status, json.dumps({"error": message}).encode(), told)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(HTTPStatus(status))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
