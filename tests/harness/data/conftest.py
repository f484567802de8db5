"""A catalogue of a few small data sets, and a server they are pulled from."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.data import catalogue
from harness.data.folder import DataFolder

REVISION = "a" * 40


@dataclass
class Server:
    """Files by their path on it; what the hub answers is made from them too."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    broken_off: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def tree(self, repository: str) -> list[dict[str, object]]:
        start = f"/datasets/{repository}/resolve/"
        return [
            {
                "type": "file",
                "path": path.removeprefix(start).partition("/")[2],
                "size": len(content),
                "oid": hashlib.sha1(content).hexdigest(),
            }
            for path, content in self.files.items()
            if path.startswith(start)
        ]


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            state.asked.append(path)
            if path.startswith("/api/datasets/"):
                repository = "/".join(path.split("/")[3:5])
                content: bytes | None = json.dumps(state.tree(repository)).encode()
            else:
                content = state.files.get(path)
            self.send_response(404 if content is None else 200)
            content = content or b""
            more = 1 if path in state.broken_off else 0
            self.send_header("Content-Length", str(len(content) + more))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        state.address = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield state
        listening.shutdown()
        thread.join()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


A, B, C = b'{"a": 1}\n', b'{"b": 2}\n', b"c,d\n1,2\n"


@pytest.fixture
def data(tmp_path: Path, server: Server) -> DataFolder:
    """Two pinned files, one that is not, one for non-commercial use, and a folder."""
    for name, content in {"a.jsonl": A, "b.jsonl": B, "c.csv": C}.items():
        server.files[f"/{REVISION}/{name}"] = content
    source = tmp_path / "catalogue.toml"
    source.write_text(f"""
["set/a.jsonl"]
about = "pinned"
url = "{server.address}/{{revision}}/a.jsonl"
revision = "{REVISION}"
sha256 = "{digest(A)}"
size = {len(A)}
licence = "MIT"
used_by = ["example"]

["set/b.jsonl"]
about = "pinned by its revision alone"
url = "{server.address}/{{revision}}/b.jsonl"
revision = "{REVISION}"
licence = "unknown"

["c.csv"]
about = "pinned, non-commercial"
url = "{server.address}/{{revision}}/c.csv"
revision = "{REVISION}"
sha256 = "{digest(C)}"
licence = "CC-BY-NC-4.0"

["set/whole"]
about = "a whole data set of the hub"
hub = "org/whole"
licence = "Apache-2.0"
""")
    return DataFolder(tmp_path / "data", catalogue.load(source))
