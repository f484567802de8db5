"""Find plug-ins by name, among everything installed, and build them from their options.

Built-ins and strangers come through the same door, an entry point:

    [project.entry-points."harness.evaluations"]
    my_eval = "my_package.my_eval:MyEval"
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from harness.config import Choice, validate
from harness.errors import PluginError
from harness.protocols import Engine, Evaluation, Report, Submission, Trainer

T = TypeVar("T")


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of plug-in, known by its entry-point group."""

    group: str

    @property
    def word(self) -> str:
        """What a request calls one of them."""
        return self.group.rpartition(".")[2].removesuffix("s")


ENGINES = Kind[Engine]("harness.engines")
EVALUATIONS = Kind[Evaluation]("harness.evaluations")
TRAINERS = Kind[Trainer]("harness.trainers")
REPORTS = Kind[Report]("harness.reports")
SUBMISSIONS = Kind[Submission]("harness.submissions")
KINDS: tuple[Kind[Any], ...] = (ENGINES, EVALUATIONS, TRAINERS, REPORTS, SUBMISSIONS)


@dataclass(frozen=True)
class Built(Generic[T]):
    """A plug-in that is ready, and everything it was asked for, defaults included."""

    name: str
    """Its label, where it has one: what it goes by in the run."""
    plugin: T
    options: dict[str, Any]


def installed(kind: Kind[T]) -> Sequence[EntryPoint]:
    """List what is installed, by name, without importing any of it."""
    return sorted(entry_points(group=kind.group), key=lambda entry: entry.name)


def build(kind: Kind[T], choice: Choice) -> Built[T]:
    """Build the chosen plug-in from its own options.

    Raises:
        PluginError: nothing, or more than one thing, goes by that name, or it does not import.
        ConfigError: it does not understand its options.
    """
    plugin, config = _configured(kind, choice)
    return Built(choice.called, cast(T, plugin(config)), _options(choice, config))


def options(kind: Kind[T], choice: Choice) -> dict[str, Any]:
    """Check a plug-in's options without building it, which may need its data.

    Raises:
        PluginError: as for `build`.
        ConfigError: as for `build`.
    """
    _, config = _configured(kind, choice)
    return _options(choice, config)


def _configured(kind: Kind[T], choice: Choice) -> tuple[Any, BaseModel]:
    plugin = load(kind, choice.name)
    return plugin, validate(plugin.Config, choice.options, f"{kind.word} {choice.name}")


def _options(choice: Choice, config: BaseModel) -> dict[str, Any]:
    """Everything that was asked for, defaults included."""
    chosen = choice.model_dump(include={"name", "label"}, exclude_none=True)
    return {**chosen, **config.model_dump(mode="json")}


def load(kind: Kind[T], name: str) -> Any:
    """Import the class of a plug-in.

    Raises:
        PluginError: nothing, or more than one thing, goes by that name, or it does not import.
    """
    entry = _find(kind, name)
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"{name!r} of {kind.group} is {entry.value}, which cannot be imported: {error}"
        ) from error


def _find(kind: Kind[T], name: str) -> EntryPoint:
    found = {entry.value: entry for entry in installed(kind) if entry.name == name}
    if not found:
        names = sorted({entry.name for entry in installed(kind)})
        close = get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise PluginError(f"{name!r} is not in {kind.group}, which has: {', '.join(names)}{hint}")
    if len(found) > 1:
        raise PluginError(
            f"{name!r} in {kind.group} is claimed by {' and '.join(sorted(found))}; uninstall one"
        )
    return next(iter(found.values()))
