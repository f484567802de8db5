"""An engine whose processes die and hang as prompts say, and that keeps a diary of what it did.

"kills always"    the process is gone, as by kill -9
"kills once"      the same, only the first time that anybody reads it
"hangs once"      it says nothing any more
"after row_2"     it goes on once that row is finished

diary/4711        a process, and the ids of the rows that it has finished, one a line
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from harness.engines.scripted import LoadedScript, Scripted
from harness.protocols import Request
from harness.records import ModelRef, Record

SCRIPT = Scripted.Config(default=("Yes.", "No.", "Perhaps."))


class Unreliable:
    light: ClassVar[bool] = True

    class Config(Record):
        diary: Path
        pause: float = 0.0
        """Seconds for each row."""
        concurrent: bool = False
        """Whether it says that several threads may ask."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @contextmanager
    def open(self, model: ModelRef) -> Iterator[LoadedScript]:
        diary, pause = self.config.diary, self.config.pause
        mine = diary / str(os.getpid())
        mine.touch()

        def reply(ref: ModelRef, request: Request, index: int) -> str:
            if index == 0:
                time.sleep(pause)
                prompt = str(request.prompt)
                if "kills always" in prompt or ("kills once" in prompt and first(diary, "kill")):
                    os.kill(os.getpid(), signal.SIGKILL)
                if "hangs once" in prompt and first(diary, "hang"):
                    time.sleep(1000)
                if "after" in prompt:
                    while prompt.split()[-1] not in mine.read_text().split():
                        time.sleep(0.01)
            if index == request.sampling.n - 1:
                with mine.open("a") as file:
                    file.write(f"{request.id}\n")
            return plain(ref, request, index)

        loaded = Loaded(model, SCRIPT, reply)
        loaded.concurrent = self.config.concurrent
        yield loaded


class Loaded(LoadedScript):
    concurrent = False


def plain(ref: ModelRef, request: Request, index: int) -> str:
    """What the script says without a reply of its own."""
    return LoadedScript(ref, SCRIPT, None)._say(request, index)


def first(diary: Path, what: str) -> bool:
    """Whether nobody has done it before."""
    try:
        (diary / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
