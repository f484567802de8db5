"""The judge server with a Batch API: files, batches, and how they end.

with BatchServer(reply, looks=2) as server:      a batch ends at the second look at it
BatchServer(reply, ends=["expired", "completed"])     the first batch expires half done
BatchServer(reply, trouble=...)                  troubles by name, line by line; also `lost`
BatchServer(reply, lose_creations=1)             the answer to a creation is lost on the way
server.sent                                      how often each custom_id is in a batch
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tests.judge_server import Body, JudgeServer, Received, Reset, Response, _error


class BatchServer(JudgeServer):
    """The server; every batch is carried out when it is created, and shown once it has ended."""

    def __init__(
        self,
        *arguments,
        looks: int = 1,
        ends: Sequence[str] = (),
        lose_creations: int = 0,
        **options,
    ) -> None:
        super().__init__(*arguments, **options)
        self.looks, self.ends, self.lose_creations = looks, list(ends), lose_creations
        self.files: dict[str, str] = {}
        self.batches: dict[str, Body] = {}
        self.sent: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self.routes += [
            ("POST", r"/v1/files", self._upload),
            ("GET", r"/v1/files/[^/]+/content", self._content),
            ("POST", r"/v1/batches", self._create),
            ("GET", r"/v1/batches", self._list),
            ("GET", r"/v1/batches/[^/]+", self._look),
        ]

    def _upload(self, received: Received) -> Response:
        boundary = re.search(r"boundary=(.+)", received.headers["content-type"])[1]
        parts = received.content.decode().split(f"--{boundary}")
        [text] = [part.partition("\r\n\r\n")[2][:-2] for part in parts if "filename=" in part]
        id = self._keep(text)
        return Response(
            {
                "id": id,
                "object": "file",
                "bytes": len(text),
                "created_at": 1,
                "filename": "calls.jsonl",
                "purpose": "batch",
                "status": "processed",
            }
        )

    def _keep(self, text: str) -> str:
        id = f"file-{len(self.files)}"
        self.files[id] = text
        return id

    def _content(self, received: Received) -> Response:
        return Response(self.files[received.path.split("/")[3]].encode())

    async def _create(self, received: Received) -> Response:
        asked = received.body
        id, end = f"batch-{len(self.batches)}", self.ends.pop(0) if self.ends else "completed"
        batch = self.batches[id] = {
            **asked,
            "id": id,
            "object": "batch",
            "created_at": 1,
            "status": end,
        }
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        assert {(one["method"], one["url"]) for one in lines} == {("POST", asked["endpoint"])}
        assert len({one["body"]["model"] for one in lines}) == 1
        if end == "failed":
            batch["errors"] = {"data": [{"code": "token_limit", "message": "too much at once"}]}
        else:
            await self._carry_out(lines, batch)
        if self.lose_creations:
            self.lose_creations -= 1
            raise Reset
        return Response(self._shown(batch))

    async def _carry_out(self, lines: list[Body], batch: Body) -> None:
        """Answer all lines, or, where the batch does not complete, every other one."""
        good, bad = [], []
        for number, line in enumerate(lines):
            result = {"id": f"r{number}", "custom_id": line["custom_id"], "error": None}
            self.sent[line["custom_id"]] += 1
            if batch["status"] != "completed" and number % 2:
                error = {"code": f"batch_{batch['status']}", "message": "not in time"}
                bad.append(result | {"response": None, "error": error})
                continue
            received = Received("POST", line["url"], {}, json.dumps(line["body"]).encode())
            name = self.trouble(line["body"], self.sent[line["custom_id"]] - 1)
            if name == "lost":
                continue
            response = (
                await self._troubled(name, "", received) if name else self.complete(line["body"])
            )
            if not name:
                self.received.append(replace(received, nth=self.sent[line["custom_id"]] - 1))
            answer = {"status_code": response.status, "request_id": "q", "body": response.body}
            (good if response.status == 200 else bad).append(result | {"response": answer})
        for name, results in (("output_file_id", good), ("error_file_id", bad)):
            if results:
                text = "".join(json.dumps(one) + "\n" for one in reversed(results))
                batch[name] = self._keep(text)

    def _shown(self, batch: Body) -> Body:
        if self._seen[batch["id"]] >= self.looks:
            return batch
        hidden = ("output_file_id", "error_file_id", "errors")
        shown = {key: value for key, value in batch.items() if key not in hidden}
        return shown | {"status": "in_progress"}

    def _list(self, received: Received) -> Response:
        data = [self._shown(batch) for batch in self.batches.values()]
        return Response({"object": "list", "data": data, "has_more": False})

    def _look(self, received: Received) -> Response:
        batch = self.batches.get(received.path.rpartition("/")[2])
        if batch is None:
            return _error(404, None, "no such batch")
        self._seen[batch["id"]] += 1
        return Response(self._shown(batch))
