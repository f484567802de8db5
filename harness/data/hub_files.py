"""Files of the Hugging Face hub, downloaded by its own library, which takes a second to import.

download("allenai/ai2_arc", "210d026f...", ("README.md", "ARC-Easy/*"), Path("coming"))
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from harness.errors import DataError


def download(hub: str, revision: str | None, files: Sequence[str], target: Path) -> None:
    """Download a data set, or the files of it that fit a pattern, into a folder.

    Raises:
        DataError: there is no such data set, revision or file, or it must be asked for.
        ConnectionError: the hub cannot be reached.
    """
    _reach()
    try:
        huggingface_hub.snapshot_download(
            hub,
            repo_type="dataset",
            revision=revision,
            allow_patterns=list(files) or None,
            local_dir=target,
        )
    except HfHubHTTPError as error:
        raise DataError(
            f"{hub} cannot be pulled from the hub: {_one_line(error)}; log in with `hf auth login` "
            "where it must be asked for, or bring it with --from"
        ) from error
    except (OSError, EntryNotFoundError) as error:
        raise ConnectionError(_one_line(error)) from error
    shutil.rmtree(target / ".cache", ignore_errors=True)  # the library's own notes


def _reach() -> None:
    """Find out at once whether the hub is there: its library would try for half a minute."""
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError("HF_HUB_OFFLINE is set")
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=10).close()
    except HTTPError:
        pass  # whatever it answers, it is there
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"{constants.ENDPOINT}: {reason}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(" .")
