"""Sources that need the `datasets` library: parquet and CSV files, and data sets of the hub.

hub_rows("OpenAssistant/oasst1::validation")    name:config:split, both may be left out
file_rows("questions.parquet")
"""

from typing import Any

import datasets
from datasets.exceptions import DatasetsError

from harness.data.folder import find_hub
from harness.errors import DataError


def hub_rows(source: str) -> list[dict[str, Any]]:
    """Load a data set of the hub, or of its local cache.

    Raises:
        DataError: it is not there, cannot be reached, or has no such config or split.
    """
    name, config, split = (*source.split(":"), "", "")[:3]
    where = str(find_hub(name) or name)  # pulled by `harness data pull`, or from the hub
    return _load(source, where, config or None, split=split or "train")


def file_rows(path: str) -> list[dict[str, Any]]:
    """Load a local parquet or CSV file.

    Raises:
        DataError: it cannot be read.
    """
    return _load(path, path.rpartition(".")[2], None, split="train", data_files=path)


def _load(source: str, name: str, config: str | None, **how: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = datasets.load_dataset(name, config, **how).to_list()
    except (OSError, ValueError, DatasetsError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"data source {source!r} cannot be loaded: {reason}; "
            "name a local file, or check the hub name (name:config:split) and the connection"
        ) from error
    return rows
