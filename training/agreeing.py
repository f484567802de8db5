"""What one process finds out for all: they go on alike, or end with the same error.

    agreed(lambda: kept(job).exists())     the first process looks, and every one gets its answer

On a file system that several machines share, each may see another state of it for a while; and
what takes minutes, as hashing large weights does, need not be done once a process.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from harness.errors import HarnessError

_Found = TypeVar("_Found")


def agreed(find: Callable[[], _Found]) -> _Found:
    """Let the first process find something out, and tell the others; all must call it.

    Raises:
        HarnessError: in every process, where the first one met it.
    """
    said: list[_Found | HarnessError | None] = [None]
    if PartialState().is_main_process:
        try:
            said = [find()]
        except HarnessError as error:
            said = [error]
    [found] = broadcast_object_list(said)
    if isinstance(found, HarnessError):
        raise found
    return cast(_Found, found)
