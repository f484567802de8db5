"""A round's prompts: from whom, never what is held out, never one of an earlier round."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from harness.data.examples import PromptRow, text_id
from harness.data.overlap import key
from harness.engines.scripted import Scripted
from harness.errors import DataError
from harness.protocols import Request
from harness.records import ModelRef
from tests.training.self_rewarding.scripts import Recorded, workspace
from training.self_rewarding.prompts import new_prompts
from training.self_rewarding.settings import SelfRewardingSettings

THINGS = ("rivers", "novels", "coffee", "salt", "tides", "winters", "engines", "maples")
WAYS = ("in ten words", "for a child", "like a pirate", "in plain verse")
EVERYTHING = [f"Tell me about {thing} {way}" for thing in THINGS for way in WAYS]
SEEDS, HELD_OUT = EVERYTHING[:8], EVERYTHING[8:12]


def write(ref: ModelRef, request: Request, index: int) -> str:
    return Random(f"{request.id} {request.sampling.seed}").choice(EVERYTHING).upper()


def save(path: Path, prompts: Sequence[str]) -> str:
    rows = [{"prompt": prompt, "response": f"About {prompt}"} for prompt in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def settings(tmp_path: Path, **proposing: object) -> SelfRewardingSettings:
    return SelfRewardingSettings(
        seeds={
            "ift": save(tmp_path / "ift.jsonl", SEEDS),
            "held_out": [save(tmp_path / "held_out.jsonl", HELD_OUT)],
        },
        sft={"learning_rate": 1},
        dpo={"learning_rate": 1},
        proposing={"wanted": 9, "requests": 20, "filters": {"similarity": 1}} | proposing,
    )


def ask(
    config: SelfRewardingSettings, folder: Path, earlier: Sequence[Path] = (), seed: int = 1
) -> tuple[tuple[PromptRow, ...], dict, list[str]]:
    engine = Recorded(Scripted(Scripted.Config(), write))
    stage = workspace(folder, engine, earlier=earlier)
    rows, metrics = new_prompts(config, ModelRef(name="M1", location="m1"), seed, stage)
    return rows, metrics, engine.opened


@pytest.mark.parametrize("source", ["model", "file"])
def test_rounds_repeat_nothing_and_never_what_is_held_out(source: str, tmp_path: Path) -> None:
    file = {"file": save(tmp_path / "all.jsonl", [p.upper() for p in EVERYTHING])}
    config = settings(tmp_path, **(file if source == "file" else {}))
    seeds_stage = tmp_path / "1"
    seeds_stage.mkdir()
    first, metrics, opened = ask(config, tmp_path / "2", [seeds_stage])
    second, _, _ = ask(config, tmp_path / "3", [seeds_stage, tmp_path / "2"], seed=2)
    assert opened == (["M1"] if source == "model" else [])
    assert len(first) == metrics["accepted"] == 9
    assert metrics["rejected"]["held_out"]
    held_out, found = set(map(key, HELD_OUT)), [key(row.prompt) for row in (*first, *second)]
    assert not held_out & set(found)
    assert len(found) == len(set(found)) == 18
    if source == "model":
        assert not set(map(key, SEEDS)) & set(found)
    assert all(row.id == text_id(row.prompt) for row in first)
    assert list(seeds_stage.iterdir()) == [], "a finished stage stays as it is"


def test_the_same_prompts_come_again_after_an_interruption(tmp_path: Path) -> None:
    config = settings(tmp_path)
    whole, metrics, _ = ask(config, tmp_path / "whole")
    ask(config, tmp_path / "torn")
    log = tmp_path / "torn" / "proposals.jsonl"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    (tmp_path / "torn" / "prompts.jsonl").unlink()
    assert ask(config, tmp_path / "torn")[:2] == (whole, metrics)
    kept = (tmp_path / "torn" / "prompts.jsonl").read_bytes()
    assert kept == (tmp_path / "whole" / "prompts.jsonl").read_bytes()


def test_a_fixed_model_can_write_them(tmp_path: Path) -> None:
    config = settings(tmp_path, model={"name": "writer", "location": "any"})
    assert ask(config, tmp_path / "2")[2] == ["writer"]


def test_a_file_that_is_used_up_is_an_error(tmp_path: Path) -> None:
    config = settings(tmp_path, file=save(tmp_path / "few.jsonl", [*EVERYTHING[20:23], *HELD_OUT]))
    rows, metrics, _ = ask(config, tmp_path / "2")
    assert len(rows) == 3
    assert metrics["stopped"] == "exhausted"
    with pytest.raises(DataError, match=r"none of the 7 given prompts is left"):
        ask(config, tmp_path / "3", [tmp_path / "2"])
