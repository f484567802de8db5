"""Options of plug-ins: each is listed as a request writes it, with its default and meaning."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field
from typer.testing import CliRunner

from harness import plugins
from harness.cli import app
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


def test_the_command_prints_one_plug_in_and_refuses_half_a_question():
    shown = CliRunner().invoke(app, ["list", "evaluation", "mt_bench"])
    assert 'reader: "last" | "official", "last"\n    Whether the judge' in shown.output
    for half in (["list", "evaluation"], ["list", "nothing", "mt_bench"]):
        assert "`harness list` shows all" in str(CliRunner().invoke(app, half).exception)
