"""What a user may ask for, and how a request is read.

    [model]
    location = "microworld"            # a checkpoint folder, a hub id, or the embedded M0

    [trainer]
    name = "self_rewarding"            # a plug-in by name; the other keys are its own options
    candidates = { n = 4 }

A request is a TOML file or the name of one that comes with the harness (`harness/presets/`).
Unknown keys are refused, with the closest known one.
"""

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import ConfigError
from harness.records import ModelRef, Record

R = TypeVar("R", bound=BaseModel)
PRESETS = resources.files("harness") / "presets"


class Choice(BaseModel):
    """A plug-in by name, with the options it will check itself."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    label: str | None = Field(default=None, pattern=r"^[\w.+-]+$")
    """What results are called, where one plug-in is chosen more than once; its name without."""

    @model_validator(mode="before")
    @classmethod
    def _a_bare_name_is_a_choice(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def called(self) -> str:
        """The label, or else the name."""
        return self.label or self.name

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name and the label."""
        return dict(self.model_extra or {})


class JudgeGuards(Record):
    """When to give the judge up."""

    unreadable: int = Field(default=50, ge=1)
    """How many verdicts of one evaluation of one model may come in without a readable one."""


class JudgeConfig(Record):
    """The stronger model that evaluations ask (GPT-4 in the paper)."""

    engine: Choice
    model: ModelRef
    guards: JudgeGuards = JudgeGuards()


class RunConfig(Record):
    """A run: what to measure, and how often to train in between."""

    model: ModelRef
    iterations: int = Field(default=3, ge=0, le=1000)
    """How often to train. 0 measures the model as it is."""
    seed: int = Field(default=0, ge=0)
    engine: Choice = Choice(name="transformers")
    trainer: Choice = Choice(name="self_rewarding")
    judge: JudgeConfig | None = None
    evaluations: tuple[Choice, ...] = ()
    reports: tuple[Choice, ...] = (
        Choice(name="html"),
        Choice(name="markdown"),
        Choice(name="summary"),
        Choice(name="terminal"),
    )

    @model_validator(mode="after")
    def _each_once(self) -> "RunConfig":
        names = [choice.called for choice in self.evaluations]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(
                f"evaluations name {', '.join(sorted(twice))} more than once; give each a label"
            )
        return self


def capped(config: RunConfig, max_usd: float) -> RunConfig:
    """Set what the judge may cost in the whole run, in dollars.

    Raises:
        ConfigError: there is no judge to pay.
    """
    if config.judge is None:
        raise ConfigError("--max-usd is for a judge that costs money, and this request has none")
    engine = config.judge.engine
    guards = {**engine.options.get("guards", {}), "max_usd": max_usd}
    paid = Choice.model_validate({**engine.model_dump(), "guards": guards})
    judge = config.judge.model_copy(update={"engine": paid})
    return config.model_copy(update={"judge": judge})


def presets() -> Sequence[str]:
    """List the requests that come with the harness."""
    return sorted(file.name.removesuffix(".toml") for file in PRESETS.iterdir())


def folder_of(request: str) -> Path:
    """Say where a run of a request is kept unless another folder is named."""
    return Path("runs") / (request if request in presets() else Path(request).stem)


def preset_text(name: str) -> str:
    """Read a request that comes with the harness, as a starting point for one's own.

    Raises:
        ConfigError: there is no such.
    """
    if name not in presets():
        raise ConfigError(f"no request {name!r}{_hint(name)}: there are {', '.join(presets())}")
    return (PRESETS / f"{name}.toml").read_text(encoding="utf-8")


def _hint(name: str) -> str:
    close = get_close_matches(name, presets(), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def read_config(request: str, overrides: Mapping[str, Any]) -> RunConfig:
    """Read a request by file or preset name, and lay the command line's values over it.

    Raises:
        ConfigError: no such request, no TOML, or a key or value that is not understood.
    """
    preset = PRESETS / f"{request}.toml"
    source = preset if preset.is_file() else Path(request)
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(
            f"no request {request!r}{_hint(request)}: neither a file nor one of "
            f"{', '.join(presets())}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"request {request} is not TOML: {error}; mend that place") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"request {request} cannot be read: {error}") from error
    table |= {key: value for key, value in overrides.items() if value is not None}
    return validate(RunConfig, table, f"request {request}")


def validate(kind: type[R], table: Mapping[str, Any], where: str) -> R:
    """Check a table against a model; say in one line what is wrong and where.

    Raises:
        ConfigError: with every offending key.
    """
    try:
        return kind.model_validate(dict(table))
    except ValidationError as error:
        problems = [_problem(kind, problem) for problem in error.errors()]
        raise ConfigError(f"{where}: {'; '.join(problems)}") from error


def _problem(kind: type[BaseModel], problem: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    name = ".".join(path)
    if problem["type"] == "extra_forbidden":
        known = _fields(kind, path[:-1])
        close = get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"unknown key {name!r}, {hint}"
    if problem["type"] == "missing":
        return f"{name!r} is missing"
    given = problem["input"]
    shown = "" if isinstance(given, dict | list) else f", not {given!r}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{name!r}: {message}{shown}" if name else message


def _fields(kind: Any, path: Sequence[str]) -> list[str]:
    """List the keys known at a place inside a model, as far as its annotations tell."""
    for part in path:
        field = getattr(kind, "model_fields", {}).get(part)
        if field is None:
            continue  # an index into a list, or the tag of a union
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        kind = next((option for option in options if hasattr(option, "model_fields")), kind)
    return list(getattr(kind, "model_fields", {}))
