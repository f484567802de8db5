"""How fast the judge's client is, against what the server allows and against `alpaca_eval`'s own.

    python -m tests.benchmarks.bench_judge [--calls 805] [--concurrency 32] [--delay 0.05]

A server in another process takes 50 ms for every call. `ideal` is calls * delay / concurrency;
`floor` is what bare sockets take for the same, so that what the machine and the server add can be
told from what the client does. `alpaca_eval` is `openai_completions` with its defaults (five
threads), on its share of the calls, scaled up; both ask the same prompts. Prints one JSON line
with medians; every repeat begins with new books, so that nothing is answered from memory.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from alpaca_eval.decoders.openai import openai_completions

from harness.engines.openai import OpenAI
from harness.protocols import Request, Sampling, user
from harness.records import ModelRef

MODEL = "judge"
TEXT = "Which of these two answers is the better one, and why? " * 50


@contextlib.contextmanager
def running(delay: float, text: str = "m") -> Iterator[str]:
    """Serve in another process, always the same text; yield the base URL."""
    command = [sys.executable, "-m", "tests.judge_server", "--delay", str(delay), "--text", text]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin and server.stdout
    with server:
        yield server.stdout.readline().strip()
        server.stdin.close()


def ours(url: str, prompts: list[str], concurrency: int) -> float:
    """Seconds for all calls, with ledger and answers on disk."""
    with tempfile.TemporaryDirectory() as books:
        engine = OpenAI(OpenAI.Config(base_url=url, calls={"concurrency": concurrency}))
        engine.keep_books(Path(books))
        sampling = Sampling(temperature=0, max_tokens=1, top_logprobs=5)
        asked = [Request(str(i), user(prompt), sampling) for i, prompt in enumerate(prompts)]
        with engine.open(ModelRef(location=MODEL)) as model:
            begun = time.perf_counter()
            done = list(model.generate(asked))
            seconds = time.perf_counter() - begun
    assert len(done) == len(prompts)
    assert all(one.failure is None and one.steps for one in done)
    return seconds


def floor(url: str, prompts: list[str], concurrency: int) -> float:
    """Seconds for as many calls over bare sockets."""
    place = urlsplit(url)
    left = iter(prompts)

    async def lane() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for prompt in left:
            message = {"role": "user", "content": prompt}
            body = json.dumps({"model": MODEL, "messages": [message]}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            [size] = [s.split(":")[1] for s in answer.split("\r\n") if s.startswith("content-len")]
            await reader.readexactly(int(size))
        writer.close()

    async def lanes() -> None:
        await asyncio.gather(*(lane() for _ in range(concurrency)))

    begun = time.perf_counter()
    asyncio.run(lanes())
    return time.perf_counter() - begun


def theirs(url: str, prompts: list[str]) -> float:
    """Seconds for all calls by `alpaca_eval`'s client, with its defaults."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        yaml.safe_dump({"default": [{"api_key": "none", "base_url": url}]}, config)
        config.flush()
        begun = time.perf_counter()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            done = openai_completions(
                [f"<|im_start|>user\n{prompt}\n<|im_end|>" for prompt in prompts],
                MODEL,
                max_tokens=1,
                temperature=0,
                client_config_path=config.name,
                price_per_token=0,
            )
        seconds = time.perf_counter() - begun
    assert len(done["completions"]) == len(prompts)
    return seconds


def main() -> None:
    """Measure all three in turn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=805)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.25, help="Of the calls, for alpaca_eval.")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    ideal = options.calls * options.delay / options.concurrency
    seconds: dict[str, list[float]] = {"ours": [], "floor": [], "alpaca_eval": []}
    with running(options.delay) as url:
        for repeat in range(options.repeats):
            prompts = [f"{repeat}.{i} {TEXT}" for i in range(options.calls)]
            few = prompts[: round(options.calls * options.share)]
            seconds["floor"].append(floor(url, prompts, options.concurrency))
            seconds["ours"].append(ours(url, prompts, options.concurrency))
            seconds["alpaca_eval"].append(theirs(url, few) * options.calls / len(few))
    medians = {side: statistics.median(found) for side, found in seconds.items()}
    faster = [b / a for a, b in zip(seconds["ours"], seconds["alpaca_eval"], strict=True)]
    print(
        json.dumps(
            {
                "ideal_s": round(ideal, 3),
                **{f"{side}_s": round(value, 3) for side, value in medians.items()},
                "of_ideal": round(medians["ours"] / ideal, 3),
                "each_of_ideal": [round(one / ideal, 3) for one in seconds["ours"]],
                "floor_of_ideal": round(medians["floor"] / ideal, 3),
                "times_alpaca_eval": round(statistics.median(faster), 1),
                "calls": options.calls,
                "concurrency": options.concurrency,
                "delay_s": options.delay,
            }
        )
    )


if __name__ == "__main__":
    main()
