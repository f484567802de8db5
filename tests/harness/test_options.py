"""Options of plug-ins: each is listed as a request writes it, with its default and meaning."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field
from typer.testing import CliRunner

from harness import plugins
from harness.cli import app
from harness.errors import ConfigError
from harness.options import options
from harness.records import Record

OURS = {"harness", "evals", "training", "reports"}


class Limits(Record):
    most: int = 3
    """The most."""
    least: Annotated[int, Field(ge=0)] | None = None


class Base(Record):
    inherited: bool = False
    """Said where it
    is declared."""


class Config(Base):
    file: Path
    mode: Literal["fast", "slow"] = "fast"
    limits: Limits = Limits(most=5)
    """Both ends."""
    other: Limits | None = None
    names: tuple[str, ...] = ("a",)


def test_options_are_listed_in_order_with_tables_under_dotted_names():
    found = {option.name: option[1:] for option in options(Config)}
    assert found == {
        "inherited": ("true | false", "false", "Said where it is declared."),
        "file": ("path", "required", ""),
        "mode": ('"fast" | "slow"', '"fast"', ""),
        "limits": ("table", "as follows", "Both ends."),
        "limits.most": ("int", "5", "The most."),  # the table's default, not the field's
        "limits.least": ("int", "not set", ""),
        "other": ("table", "not set", ""),
        "other.most": ("int", "3", "The most."),
        "other.least": ("int", "not set", ""),
        "names": ("list of text", '["a"]', ""),
    }
    assert [*found][:3] == ["inherited", "file", "mode"]


@pytest.mark.parametrize("kind", plugins.KINDS, ids=lambda kind: kind.word)
def test_every_option_of_every_plug_in_can_be_listed(kind):
    ours = [e for e in plugins.installed(kind) if e.value.split(".")[0] in OURS]
    assert ours
    for entry in ours:
        config = entry.load().Config
        assert {o.name for o in options(config) if "." not in o.name} == {*config.model_fields}


def test_the_command_prints_one_plug_in():
    shown = CliRunner().invoke(app, ["list", "evaluation", "mt_bench"])
    assert 'reader: "last" | "official", "last"\n    Whether the judge' in shown.output


def test_a_kind_is_listed_alone_and_a_request_is_printed():
    evaluations = CliRunner().invoke(app, ["list", "evaluation"]).output
    assert "mt_bench" in evaluations
    assert "transformers" not in evaluations
    assert "micro" in CliRunner().invoke(app, ["list", "request"]).output
    printed = CliRunner().invoke(app, ["list", "request", "micro"]).output
    assert tomllib.loads(printed)["model"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["nothing"], "no kind 'nothing'; there are engine, evaluation"),
        (["nothing", "mt_bench"], "no kind 'nothing'"),
        (["request", "mikro"], r"no request 'mikro' \(did you mean micro\?\)"),
    ],
)
def test_what_is_not_there_to_list(asked, says):
    with pytest.raises(ConfigError, match=says):
        CliRunner().invoke(app, ["list", *asked], catch_exceptions=False)
