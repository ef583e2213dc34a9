"""A hub of one's own on this machine: what the hub's client asks for, and no more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "c" * 40
Checkpoints = Mapping[str, Mapping[str, bytes]]


@contextmanager
def serving(checkpoints: Checkpoints) -> Iterator[str]:
    """Its address, while it serves the files of each owner/model by their paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, *args: Any) -> None:
            pass

        def _answer(self, with_body: bool) -> None:
            body, etag = _found(checkpoints, self.path.partition("?")[0])
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{etag}"')
            self.end_headers()
            if with_body and body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _found(checkpoints: Checkpoints, path: str) -> tuple[bytes | None, str]:
    for name, files in checkpoints.items():
        if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
            return json.dumps({"id": name, "sha": COMMIT, "siblings": []}).encode(), ""
        if path.startswith(f"/api/models/{name}/tree/"):
            return json.dumps([_entry(one, content) for one, content in files.items()]).encode(), ""
        file = path.removeprefix(f"/{name}/resolve/{COMMIT}/")
        if file in files:
            return files[file], _digest(files[file])
    return None, ""


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": _digest(content)}


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
