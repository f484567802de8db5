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
SEEDS, HELD_OUT, VALIDATION = EVERYTHING[:8], EVERYTHING[8:12], EVERYTHING[12:15]


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
    config: SelfRewardingSettings,
    folder: Path,
    earlier: Sequence[Path] = (),
    seed: int = 1,
    reply=write,
) -> tuple[tuple[PromptRow, ...], dict, list[str]]:
    engine = Recorded(Scripted(Scripted.Config(), reply))
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


@pytest.mark.parametrize("source", ["model", "file"])
def test_prompts_of_the_selection_are_neither_shown_nor_asked(source: str, tmp_path: Path) -> None:
    shown: list[str] = []

    def reply(ref: ModelRef, request: Request, index: int) -> str:
        shown.append(str(request.prompt))
        return write(ref, request, index)

    file = {"file": save(tmp_path / "all.jsonl", EVERYTHING)} if source == "file" else {}
    plain = settings(tmp_path, wanted=99 if file else 14, **file)
    save(tmp_path / "ift.jsonl", [*SEEDS, *VALIDATION])
    table = plain.model_dump(exclude_unset=True) | {
        "sft": {"learning_rate": 1, "checkpoint_every": 2},
        "dpo": {"learning_rate": 1, "checkpoint_every": 2},
        "selection": {"prompts": save(tmp_path / "validation.jsonl", VALIDATION)},
    }
    rows, metrics, _ = ask(SelfRewardingSettings.model_validate(table), tmp_path / "2", reply=reply)
    found = {key(row.prompt) for row in rows}
    assert not found & set(map(key, (*VALIDATION, *HELD_OUT)))
    assert metrics["rejected"]["held_out"] > (4 if source == "file" else 0)
    assert not any(prompt in text for prompt in VALIDATION for text in shown)
    assert any(SEEDS[0] in text for text in shown) == (source == "model")
    if source == "file":
        assert found == set(map(key, EVERYTHING)) - set(map(key, (*VALIDATION, *HELD_OUT)))


def test_rounds_go_through_one_shuffled_list(tmp_path: Path) -> None:
    """So that a list that is long enough is used up evenly, in whatever round a prompt comes."""
    given = EVERYTHING[12:30]
    config = settings(tmp_path, file=save(tmp_path / "all.jsonl", given), wanted=6)
    whole = config.model_copy(
        update={"proposing": config.proposing.model_copy(update={"wanted": len(given)})}
    )
    once, _, _ = ask(whole, tmp_path / "whole", seed=99)
    assert {row.prompt for row in once} == set(given)
    folders = [tmp_path / str(number) for number in (2, 3, 4)]
    rounds = [ask(config, folders[i], folders[:i], seed=i)[0] for i in range(3)]
    assert tuple(row for rows in rounds for row in rows) == once
    assert [row.prompt for row in once] != given


def test_rounds_that_are_each_for_themselves_draw_anew_and_never_run_dry(tmp_path: Path) -> None:
    given = EVERYTHING[12:22]
    config = settings(
        tmp_path, file=save(tmp_path / "few.jsonl", given), wanted=8, apart_from="round"
    )
    folders = [tmp_path / str(number) for number in range(2, 7)]
    asked = [ask(config, folders[i], folders[:i], seed=i) for i in range(5)]
    rounds = [[row.prompt for row in rows] for rows, _, _ in asked]
    assert all(len(set(prompts)) == 8 and set(prompts) <= set(given) for prompts in rounds)
    assert {metrics["stopped"] for _, metrics, _ in asked} == {"enough"}
    assert len(set(map(tuple, rounds))) == len(set(map(frozenset, rounds))) == 5
    again, _, _ = ask(config, tmp_path / "again", folders[:3], seed=3)
    assert again == asked[3][0]


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
