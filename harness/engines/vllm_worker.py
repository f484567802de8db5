"""The process that vLLM runs in: requests in, finished rows out, one JSON object a line.

    in    {"engine": {"model": "models/m1", ...}, "on_cpu": {"dtype": "float32"}}       once
    out   {"ready": {"vllm": "0.32.0", "device": "cpu", "dtype": "float32"}}            once
    in    {"key": 7, "ids": [2, 41, 3], "seeds": [11, 12], "params": {"max_tokens": 64}}
    out   {"key": 7, "index": 1, "ids": [77, 1], "finish": "stop"}
    in    {"drop": [7]}
    in    {"end": true}

It is run by its path, with the interpreter of an environment that has vLLM, and imports nothing
else: that environment needs nothing of the harness. Requests are taken while others are running,
so that the engine is always full.

    harness --- guard --- engine --- vLLM's own processes, which hold the GPUs' memory

All but the harness are one process group. The guard ends it when the harness is gone, however it
went, or the engine.
"""

import json
import multiprocessing
import os
import queue
import select
import signal
import sys
import threading
import time
from collections import Counter, deque
from importlib import import_module
from multiprocessing import connection
from typing import Any, TextIO

_Inbox = queue.SimpleQueue[dict[str, Any]]

_HEARTBEAT = 1.0
"""Seconds between two signs of life while rows are being made."""


def main() -> None:
    """Part into guard and engine."""
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # vLLM and its libraries print, too
    signal.signal(signal.SIGCHLD, _child)
    if os.fork():
        harness = select.poll()
        harness.register(0, 0)  # nothing but that the other end is closed
        harness.poll()
        _end()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    serve(sys.stdin, out)


def _child(*_: object) -> None:
    """The engine has ended, or was only stopped for a while."""
    if os.waitpid(-1, os.WNOHANG)[0]:
        _end()


def _end() -> None:
    os.killpg(0, signal.SIGKILL)


def serve(orders: TextIO, out: TextIO) -> None:
    """Start an engine as the first line says, and do what further lines say."""
    begin = json.loads(orders.readline())
    try:
        engine, about = _start(begin)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told and the process ends
        _say(out, {"failed": f"{type(error).__name__}: {error}"})
        return
    _say(out, {"ready": about})
    inbox: _Inbox = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders, inbox), daemon=True).start()
    ending = threading.Event()
    threading.Thread(target=_mind, args=(ending,), daemon=True).start()
    _Loop(engine, inbox, out).run()
    ending.set()
    engine.engine_core.shutdown()


def _start(begin: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Make the engine; it takes most of a minute, and most of the GPU's memory."""
    vllm = import_module("vllm")
    on_cpu = import_module("vllm.platforms").current_platform.is_cpu()
    options = begin["engine"] | (begin["on_cpu"] if on_cpu else {})
    engine = vllm.LLM(**options).llm_engine
    about = {
        "vllm": vllm.__version__,
        "device": "cpu" if on_cpu else "gpu",
        "dtype": str(engine.model_config.dtype).removeprefix("torch."),
    }
    return engine, about


def _read(orders: TextIO, inbox: _Inbox) -> None:
    for line in orders:
        inbox.put(json.loads(line))


def _mind(ending: threading.Event) -> None:
    """End where a process of vLLM's own dies: vLLM would wait for its rows for ever."""
    dead = connection.wait([child.sentinel for child in multiprocessing.active_children()])
    if dead and not ending.is_set():
        print("a process of vLLM's ended", flush=True)
        os._exit(1)


def _say(out: TextIO, line: dict[str, Any]) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


class _Loop:
    """Rows on their way through an engine."""

    def __init__(self, engine: Any, inbox: _Inbox, out: TextIO) -> None:
        self._engine = engine
        self._inbox = inbox
        self._out = out
        self._waiting: deque[dict[str, Any]] = deque()
        self._running: dict[str, tuple[dict[str, Any], int]] = {}
        """By vLLM's request id, the order and the index of its sample."""
        self._asking: Counter[str] = Counter()
        """How many that are running ask for which kind of log-probabilities."""

    def run(self) -> None:
        """Take orders and take steps, until there is to be an end."""
        said = time.monotonic()
        while True:
            while not self._running or not self._inbox.empty():
                order = self._inbox.get()
                if "end" in order:
                    return
                if "drop" in order:
                    self._drop(set(order["drop"]))
                else:
                    self._waiting.append(order)
                self._begin()
            done = [output for output in self._engine.step() if output.finished]
            for output in done:
                order, index = self._forget(output.request_id)
                self._tell(order, index, _row(order, output))
            self._begin()
            if not done and time.monotonic() - said > _HEARTBEAT:
                self._out.write("{}\n")
            elif not done:
                continue
            self._out.flush()
            said = time.monotonic()

    def _begin(self) -> None:
        """Begin what is waiting, in turn.

        In one batch with requests that name tokens, vLLM's first model runner gives those that ask
        for the likeliest ones nothing but padding, so these two kinds wait for each other.
        """
        while self._waiting and not self._asking[_OTHER.get(_kind(self._waiting[0]), "")]:
            order = self._waiting.popleft()
            for index, seed in enumerate(order["seeds"]):
                self._add(order, index, seed)

    def _add(self, order: dict[str, Any], index: int, seed: int | None) -> None:
        """Begin one sample, as a request of its own: they end and are told one by one."""
        sampling = import_module("vllm.sampling_params")
        id = f"{order['key']}.{index}"
        try:
            params = sampling.SamplingParams(
                **order["params"],
                seed=seed,
                detokenize="stop" in order["params"],
                flat_logprobs=True,
                output_kind=sampling.RequestOutputKind.FINAL_ONLY,
            )
            prompt = {"type": "token", "prompt_token_ids": order["ids"]}
            self._engine.add_request(id, prompt, params)
        except Exception as error:  # noqa: BLE001  # one row's, whatever vLLM calls it
            self._tell(order, index, {"error": str(error)})
            self._out.flush()
            return
        self._running[id] = order, index
        self._asking[_kind(order)] += 1

    def _forget(self, id: str) -> tuple[dict[str, Any], int]:
        order, index = self._running.pop(id)
        self._asking[_kind(order)] -= 1
        return order, index

    def _drop(self, keys: set[int]) -> None:
        """End what nobody wants any more."""
        gone = [id for id, (order, _) in self._running.items() if order["key"] in keys]
        self._engine.abort_request(gone)
        for id in gone:
            self._forget(id)
        self._waiting = deque(order for order in self._waiting if order["key"] not in keys)

    def _tell(self, order: dict[str, Any], index: int, row: dict[str, Any]) -> None:
        self._out.write(json.dumps({"key": order["key"], "index": index} | row) + "\n")


_OTHER = {"named": "likeliest", "likeliest": "named"}


def _kind(order: dict[str, Any]) -> str:
    params = order["params"]
    if "logprob_token_ids" in params:
        return "named"
    return "likeliest" if params.get("logprobs") else "none"


def _row(order: dict[str, Any], output: Any) -> dict[str, Any]:
    """Say what came of a request; log-probabilities are those at temperature 1, untruncated."""
    done = output.outputs[0]
    if done.finish_reason not in ("stop", "length"):
        return {"error": f"vLLM ended it by {done.finish_reason}"}
    row = {"ids": list(done.token_ids), "finish": done.finish_reason}
    if done.logprobs is not None:
        row["logprobs"], row["others"] = _by_position(done.logprobs, 0)
    if output.prompt_logprobs is not None:
        row["prompt_logprobs"], row["prompt_others"] = _by_position(
            output.prompt_logprobs, order["from"]
        )
    return row


def _by_position(flat: Any, begin: int) -> tuple[list[float], list[list[tuple[int, float]]]]:
    """Part vLLM's flat lists by position: the token's own value, and those of all others asked."""
    spans = list(zip(flat.start_indices, flat.end_indices, strict=True))[begin:]
    own = [flat.logprobs[start] for start, _ in spans]
    others = [
        list(zip(flat.token_ids[start + 1 : end], flat.logprobs[start + 1 : end], strict=True))
        for start, end in spans
    ]
    return own, others


if __name__ == "__main__":
    main()
