"""Write a report's file, or say in one line why that cannot be."""

import os
from contextlib import suppress
from pathlib import Path

from harness.rows import unwritable


def write(path: Path, text: str) -> Path:
    """Write a text whole or not at all, and its folder where that is not there yet.

    What was there stays until the new text is: whoever reads it meanwhile, or a full disk, loses
    nothing. Two processes that write the same report do not meet.

    Raises:
        StoreError: the disk is full, or the folder is not ours to write.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    return path
