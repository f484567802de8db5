"""Write a report's file, or say in one line why that cannot be."""

from pathlib import Path

from harness.rows import unwritable


def write(path: Path, text: str) -> Path:
    """Write a text, and its folder where that is not there yet.

    Raises:
        StoreError: the disk is full, or the folder is not ours to write.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error
    return path
