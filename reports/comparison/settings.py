"""Which runs are alike: those whose requests differ in nothing but the seed are one setting.

    runs/micro      seed 0
    runs/seed1      seed 1                                       one setting, two seeds
    runs/positives  seed 0, trainer.learn_from = "positives"     another setting

Not looked at is what changes no figure: where things lie, which reports are written, and how fast,
how long and for how much money a run may go on. A file is what is in it, not what it is called.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from pydantic import JsonValue

from harness.errors import ConfigError
from harness.protocols import NamedRun
from harness.records import RunRecord
from reports.figures import visible

VERSION = "harness version"
"""Runs of different versions are not seeds of one setting: other code measured them."""
_NO_DIFFERENCE = {"seed", "reports", "contents"}
_ANYWHERE = {"guards", "calls", "launcher", "replicas", "cluster"}
_LONGEST_VALUE = 60


@dataclass(frozen=True)
class Field:
    """What a request says at one place."""

    shown: str
    identity: str
    """What makes it equal to another one: of a file, a hash of what is in it."""


@dataclass(frozen=True)
class Setting:
    """Runs of one request, each with another seed."""

    name: str
    """The name of its first run, with the number of seeds where it has several."""
    runs: tuple[NamedRun, ...]
    fields: Mapping[str, Field]
    """By place in the request, e.g. `trainer.dpo.beta`."""

    @property
    def seeds(self) -> tuple[str, ...]:
        """The seed of every run."""
        return tuple(seed(run.record) for run in self.runs)


@dataclass(frozen=True)
class Difference:
    """A place of the request where settings differ, and what each says there, in their order."""

    field: str
    values: tuple[str, ...]


def seed(record: RunRecord) -> str:
    """Say which seed a run has."""
    return str(record.request.get("seed", "not stated"))


def settings(runs: Sequence[NamedRun]) -> tuple[Setting, ...]:
    """Group runs that differ in nothing but the seed, in the order of their first runs.

    Raises:
        ConfigError: two runs do not differ in their seeds either.
    """
    alike: dict[tuple[tuple[str, str], ...], list[NamedRun]] = {}
    found: list[Mapping[str, Field]] = []
    for run in runs:
        fields = _fields(run.record)
        identity = tuple(sorted((name, field.identity) for name, field in fields.items()))
        if identity not in alike:
            found.append(fields)
        _refuse_a_copy(run, alike.setdefault(identity, []))
        alike[identity].append(run)
    return tuple(
        Setting(_name(members), tuple(members), fields)
        for members, fields in zip(alike.values(), found, strict=True)
    )


def differences(settings: Sequence[Setting]) -> tuple[Difference, ...]:
    """List every place where settings differ; what one of them lacks altogether is one place."""
    places: dict[str, None] = {}
    for name in sorted({name for setting in settings for name in setting.fields}):
        identities = {
            setting.fields[name].identity if name in setting.fields else None
            for setting in settings
        }
        if len(identities) > 1:
            places[_place(name, settings)] = None
    return tuple(
        Difference(place, tuple(_shown(place, setting) for setting in settings)) for place in places
    )


def _name(members: Sequence[NamedRun]) -> str:
    name = members[0].name
    return f"{name} ({len(members)} seeds)" if len(members) > 1 else name


def _refuse_a_copy(run: NamedRun, members: Sequence[NamedRun]) -> None:
    for other in members:
        if seed(other.record) == seed(run.record):
            raise ConfigError(
                f"{other.name} and {run.name} are the same run: the same request, with the same "
                f"seed {seed(run.record)}; name only one of them"
            )


def _place(name: str, settings: Sequence[Setting]) -> str:
    """Find the widest place around a field of which some setting has nothing."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        around = ".".join(parts[:length])
        if not all(_inside(around, setting) for setting in settings):
            return around
    return name


def _inside(place: str, setting: Setting) -> bool:
    return any(name == place or name.startswith(f"{place}.") for name in setting.fields)


def _shown(place: str, setting: Setting) -> str:
    if place in setting.fields:
        return setting.fields[place].shown
    return "given" if _inside(place, setting) else "nothing"


def _fields(record: RunRecord) -> dict[str, Field]:
    asked = {key: value for key, value in record.request.items() if key not in _NO_DIFFERENCE}
    found = record.request.get("contents")
    contents = found if isinstance(found, dict) else {}
    fields = dict(_flat(asked, contents))
    if version := record.environment.get("harness"):
        fields[VERSION] = Field(visible(str(version), _LONGEST_VALUE), str(version))
    return fields


def _flat(
    value: JsonValue, contents: Mapping[str, JsonValue], at: str = ""
) -> Iterator[tuple[str, Field]]:
    """Name every value by the keys that lead to it; what is null is not there."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        value = {_called(part, number): part for number, part in enumerate(value)}
    if isinstance(value, dict):
        for key, inside in value.items():
            if key not in _ANYWHERE:
                yield from _flat(inside, contents, f"{at}.{key}" if at else key)
    elif value is not None:
        yield at, _field(value, contents)


def _called(choice: JsonValue, number: int) -> str:
    """Name one of several plug-ins by what it goes by in the run."""
    names = choice if isinstance(choice, dict) else {}
    return str(names.get("label") or names.get("name") or number)


def _field(value: JsonValue, contents: Mapping[str, JsonValue]) -> Field:
    if isinstance(value, list):
        parts = [_field(part, contents) for part in value]
        return Field(
            visible(", ".join(part.shown for part in parts) or "none", _LONGEST_VALUE),
            "\n".join(part.identity for part in parts),
        )
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if digest := contents.get(text):
        name = PurePath(text).name
        return Field(visible(f"{name} ({str(digest)[:8]})", _LONGEST_VALUE), f"file {digest}")
    return Field(visible(text, _LONGEST_VALUE), text)
