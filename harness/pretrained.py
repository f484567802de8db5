"""A causal language model out of its checkpoint, whole.

    config.json says 5 blocks, the weights have 4    transformers makes the fifth up at random
    config.json says 3 blocks, the weights have 4    transformers leaves the fourth out

Both it tells in a log that nobody reads; here both are errors. Engines and trainers load through
this one function.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from harness.errors import DataError
from harness.records import ModelRef

UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises for files that are missing, torn, or of an unknown architecture."""


def load_whole(ref: ModelRef, location: str, **options: Any) -> PreTrainedModel:
    """Load weights that are exactly those of the model that their configuration describes.

    Args:
        ref: Whose weights they are.
        location: The folder or hub id: `ref`'s, or of the model below its adapter.
        options: Of transformers' `from_pretrained`.

    Raises:
        DataError: a weight is missing, is of another shape, or belongs to a block too many.
        UNREADABLE: transformers cannot read the files.
    """
    model: PreTrainedModel
    report: dict[str, Any]
    from_pretrained: Any = AutoModelForCausalLM.from_pretrained
    with silence():
        model, report = from_pretrained(
            location, **options, output_loading_info=True, ignore_mismatched_sizes=True
        )
    check_loaded(ref, location, model, report)
    return model


def check_loaded(
    ref: ModelRef, location: str, model: PreTrainedModel, report: Mapping[str, Any]
) -> None:
    """Refuse what transformers made up, or left out.

    Args:
        ref: Whose weights they are.
        location: Where they lie.
        model: With the weights.
        report: What transformers told of loading them.

    Raises:
        DataError: they are not those that their configuration describes.
    """
    if wrong := _wrong(report, list(model.state_dict()), f"{model.base_model_prefix}."):
        raise DataError(
            f"the weights of {ref.name} at {location!r} are of another shape than the "
            f"configuration there says ({wrong}); restore the one or the other"
        )


@contextmanager
def silence() -> Iterator[None]:
    """Keep progress bars and reports of loading out of the run's own display."""
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _wrong(report: Mapping[str, Any], own: list[str], prefix: str) -> str:
    """Say what does not fit, by its first weight; nothing where all does.

    Args:
        report: What transformers tells of the loading.
        own: The names of the model's own weights.
        prefix: What some checkpoints leave out before them.
    """
    if report["mismatched_keys"]:
        name, found, asked = min(report["mismatched_keys"])
        return f"{name} is {list(found)} and should be {list(asked)}"
    if report["missing_keys"]:
        return f"there is no {min(report['missing_keys'])}"
    # A checkpoint may hold more than a language model, a head for values say, but no more blocks.
    kinds = {_kind(name.removeprefix(prefix)) for name in own}
    unexpected = report["unexpected_keys"]
    more = [name for name in unexpected if _kind(name.removeprefix(prefix)) in kinds]
    return f"there is a {min(more)}" if more else ""


def _kind(name: str) -> str:
    """Tell what a weight is, whichever block it is of."""
    return re.sub(r"\b\d+\b", "#", name)
