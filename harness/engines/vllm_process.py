"""One vLLM process, asked by any number of threads: started, watched and ended from here.

    with running(python, begin, environment, stalled_after, closing) as process:
        with process.call() as call:
            call.ask({"ids": [2, 41, 3], "seeds": [11, 12], "params": {"max_tokens": 64}})
            for row in call.rows():
                ...                       # {"key": 7, "index": 1, "ids": [77, 1], ...}

What is said is in `vllm_worker`, which runs there. A thread reads and hands each row to the call
that asked; another watches. Whatever ends the process, dead or hanging, ends in `ReplicaLost` for
every call, at once. What vLLM itself says is in a log that is kept where something went wrong.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

from harness.engines.spreading import ReplicaLost
from harness.errors import ConfigError

WORKER = Path(__file__).with_name("vllm_worker.py")

_LOOK = 0.5
"""Seconds between two looks at a process."""
_ENDING = 20.0
"""Seconds in which it may end by itself, which leaves no shared memory behind."""
_ERROR = re.compile(r"\b(\w*(?:Error|Exception): .+|assert .+)")
"""An assertion often fails without a word: then it is the line that stands there itself."""
_CONSEQUENCE = re.compile(r"Engine core initialization failed|EngineDeadError|WorkerProc init")
"""What vLLM says of an error that it has written down before."""
_UNWANTED = "nobody wants it any more"
_MEMORY = re.compile(r"out of memory|OutOfMemory|[Ff]ree memory|[Aa]vailable memory|KV cache")


@contextmanager
def running(
    python: str,
    begin: Mapping[str, Any],
    environment: Mapping[str, str],
    stalled_after: float,
    closing: Event,
    worker: Path = WORKER,
) -> Iterator["Process"]:
    """Start a process, wait until it is ready, and end it and all that it started.

    Args:
        python: The interpreter of an environment with vLLM.
        begin: The first line that the worker is sent.
        environment: What its environment has beside this one's.
        stalled_after: Seconds without a word, also in its log, after which it is given up.
        closing: Set where nobody wants it any more.
        worker: What is run.

    Raises:
        ConfigError: it does not start, with vLLM's reason and the name of its log.
    """
    process = Process([python, "-u", "-P", str(worker)], begin, environment, stalled_after, closing)
    try:
        process.wait()
        yield process
    finally:
        process.close()


class Process:
    """A vLLM process; `about` is what it said of itself when it was ready."""

    def __init__(
        self,
        command: list[str],
        begin: Mapping[str, Any],
        environment: Mapping[str, str],
        stalled_after: float,
        closing: Event,
    ) -> None:
        log, name = tempfile.mkstemp(prefix="harness-vllm-", suffix=".log")
        self.log = Path(name)
        self.about: dict[str, Any] = {}
        self._model = begin["engine"]["model"]
        self._stalled_after = stalled_after
        self._closing = closing
        self._lock, self._writing = Lock(), Lock()
        self._keys = count()
        self._asking: dict[int, tuple[SimpleQueue[dict[str, Any] | None], int]] = {}
        """By key, who asked, and how many rows are still to come."""
        self._began: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._ready = self._over = False
        self._why: str | None = None
        self._heard = time.time()
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._threads = [Thread(target=run, daemon=True) for run in (self._read, self._watch)]
        for thread in self._threads:
            thread.start()
        with suppress(ReplicaLost):  # which is said by `wait`
            self._send(begin)

    def wait(self) -> None:
        """Wait until it is ready."""
        first = self._began.get() or {}
        if "ready" in first:
            self.about = first["ready"]
            return
        failed = first.get("failed", "it ended without a word")
        told = "failed" in first and not _CONSEQUENCE.search(failed)
        reason = self._why or (None if told else _reason(self.log)) or failed
        remedy = "its log says more"
        if _MEMORY.search(reason):
            remedy = (
                "give the engine's options `gpu_memory` another share, `context` fewer tokens or "
                "`tensor_parallel` more GPUs (on a CPU, VLLM_CPU_KVCACHE_SPACE more GiB)"
            )
        raise ConfigError(
            f"vLLM does not start with {self._model}: {reason}; {remedy} ({self.log})"
        )

    @contextmanager
    def call(self) -> Iterator["Call"]:
        """Begin to ask; rows that are not there on leaving are no longer wanted."""
        call = Call(self)
        try:
            yield call
        finally:
            self._drop(call)

    def close(self) -> None:
        """End it and all that it started; that gives the GPU's memory back."""
        ended = False
        if self.about and self._why is None:
            with suppress(ReplicaLost, subprocess.TimeoutExpired):
                self._send({"end": True})
                self._child.wait(_ENDING)
                ended = True
        self._kill()
        for thread in self._threads:
            thread.join()
        for pipe in (self._child.stdin, self._child.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]  # both are pipes
        if ended or self._why == _UNWANTED:
            self.log.unlink(missing_ok=True)

    def ask(self, call: "Call", order: Mapping[str, Any]) -> int:
        """Send a request; return its key."""
        with self._lock:
            key = next(self._keys)
            if not self._asking:
                self._heard = time.time()
            self._asking[key] = call.inbox, len(order["seeds"])
            over = self._over
        if over:
            raise self._lost()
        self._send({"key": key, **order})
        return key

    def next_row(self, call: "Call") -> dict[str, Any]:
        """Wait for a row of a call."""
        row = call.inbox.get()
        if row is None:
            raise self._lost()
        return row

    def _drop(self, call: "Call") -> None:
        with self._lock:
            unwanted = [key for key, (inbox, _) in self._asking.items() if inbox is call.inbox]
            for key in unwanted:
                del self._asking[key]
        if unwanted:
            with suppress(ReplicaLost):  # whoever asks next hears it
                self._send({"drop": unwanted})

    def _send(self, line: Mapping[str, Any]) -> None:
        stdin = self._child.stdin
        assert stdin is not None, "it is a pipe"
        text = json.dumps(line) + "\n"
        try:
            with self._writing:
                stdin.write(text)
                stdin.flush()
        except (OSError, ValueError) as error:
            raise self._lost() from error

    def _read(self) -> None:
        """Hand every row to whoever asked, until there is an end."""
        stdout = self._child.stdout
        assert stdout is not None, "it is a pipe"
        try:
            for line in stdout:
                if not line.endswith("\n"):
                    break  # it was killed in the middle of a word
                self._heard = time.time()
                self._hand(json.loads(line))
        except (ValueError, TypeError):
            self._kill(f"it said what is not of the protocol: {line[:80]!r}")
        with self._lock:
            self._over = True
            waiting = {id(inbox): inbox for inbox, _ in self._asking.values()}
        self._began.put(None)
        for inbox in waiting.values():
            inbox.put(None)

    def _hand(self, said: Any) -> None:
        if not isinstance(said, dict):
            raise ValueError("an object is expected")
        if not self._ready:
            self._ready = "ready" in said
            self._began.put(said)
        elif "key" in said:
            with self._lock:
                asked = self._asking.get(said["key"])
                if asked is None:
                    return  # it was dropped meanwhile
                inbox, left = asked
                if left > 1:
                    self._asking[said["key"]] = inbox, left - 1
                else:
                    del self._asking[said["key"]]
            inbox.put(said)

    def _watch(self) -> None:
        """End it where it hangs or nobody wants it; end what it leaves behind."""
        while not self._over:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_LOOK)
                break
            if self._ready and not self._asking:
                continue
            if self._closing.is_set():
                self._kill(_UNWANTED)
            elif (silent := self._silence()) > self._stalled_after:
                self._kill(
                    f"it has not said a word for {silent:.0f} s (the engine's option "
                    "`stalled_after`)"
                )
        self._kill()
        self._child.wait()

    def _silence(self) -> float:
        """Count the seconds since there was a word from it, here or in its log."""
        heard = self._heard
        with suppress(OSError):  # somebody may tidy up
            heard = max(heard, self.log.stat().st_mtime)
        return time.time() - heard

    def _kill(self, why: str | None = None) -> None:
        self._why = self._why or why
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def _lost(self) -> ReplicaLost:
        self._why = self._why or "its process ended"
        reason = _reason(self.log)
        said = f", and its log says {reason}" if reason else ""
        return ReplicaLost(f"vLLM: {self._why}{said} ({self.log})")


class Call:
    """Rows that one caller waits for."""

    def __init__(self, process: Process) -> None:
        self.inbox: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._process = process

    def ask(self, order: Mapping[str, Any]) -> int:
        """Send a request, with a seed for each of its samples; return the key of its rows.

        Raises:
            ReplicaLost: nobody is there.
        """
        return self._process.ask(self, order)

    def next(self) -> dict[str, Any]:
        """Wait for the next row.

        Raises:
            ReplicaLost: it will not come.
        """
        return self._process.next_row(self)


def _reason(log: Path) -> str | None:
    """Find the error that a log ends with, and not what it led to."""
    with suppress(OSError):
        found = _ERROR.findall(log.read_text(errors="replace")[-1 << 20 :])
        causes = [error.strip() for error in found if not _CONSEQUENCE.search(error)]
        return str(causes[-1])[:300] if causes else None
    return None
