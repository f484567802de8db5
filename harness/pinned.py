"""What a request names outside itself, pinned by content: files, folders with weights or rows.

    {"my_rubric.txt": "9b74c9897bac770f", "models/small-llama": "51eb4a..."}

A run that goes on with another rubric, seed file or model under the same name would mix two
experiments into one number; so the store refuses it, naming the file.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model")
"""What makes a model: weights, configuration, tokenizer and chat template."""
_ROWS = ("*.jsonl", "*.jsonl.gz", "*.csv", "*.parquet")
"""What makes a folder of data, where there is no model."""
_HEAD = 1 << 20


def contents(request: Mapping[str, Any]) -> dict[str, str]:
    """Hash every existing file, and every folder with weights or rows, that a request names."""
    named = {text for text in _texts(request) if 0 < len(text) < 4096 and "\0" not in text}
    found = {text: _hash(Path(text)) for text in sorted(named)}
    return {text: digest for text, digest in found.items() if digest}


def _hash(path: Path) -> str | None:
    try:
        if path.is_file():
            return _digest([path], whole=True)
        if path.is_dir():
            if weights := _in(path, _WEIGHTS):
                return _digest(weights, whole=False)
            rows = _in(path, _ROWS)
            return _digest(rows, whole=True) if rows else None
    except OSError:
        pass  # too long a name, or not ours to read: whoever needs the file will say so
    return None


def _in(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def _digest(files: list[Path], whole: bool) -> str:
    """Hash files; of weights only size and beginning, the engine checks the rest on opening."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}:{file.stat().st_size}\n".encode())
        with file.open("rb") as data:
            digest.update(data.read() if whole else data.read(_HEAD))
    return digest.hexdigest()[:16]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inside in value.values():
            yield from _texts(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _texts(inside)
