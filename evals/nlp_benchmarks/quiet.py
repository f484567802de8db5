"""lm-eval without the noise that it has no option against, and without needless work.

It draws a progress bar for every task, into the run's own progress, logs advice that concerns
its command line, and compiles a task's templates again for every row: 26 times a question where
25 examples are shown.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from lm_eval import utils
from lm_eval.api import task

_LOGGER = logging.getLogger("lm_eval")


@contextmanager
def quiet() -> Iterator[None]:
    """Hold lm-eval's progress bars and advice back, and keep compiled templates."""
    bar, level = task.tqdm, _LOGGER.level
    task.tqdm = _no_bar
    utils.env.from_string = lru_cache(maxsize=256)(utils.env.from_string)
    _LOGGER.setLevel(logging.ERROR)
    try:
        yield
    finally:
        task.tqdm = bar
        del utils.env.from_string  # the class's own comes to light again
        _LOGGER.setLevel(level)


def _no_bar(rows: Iterable[Any], **_: Any) -> Iterable[Any]:
    return rows
