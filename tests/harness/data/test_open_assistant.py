"""Open Assistant conversations: the published counts, and no overlap with what is held out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.data import datasets, open_assistant
from harness.data.files import Table, read_table
from harness.data.overlap import key, split_seeds
from harness.errors import DataError
from tests.shared_data import shared

HELD_OUT = "preferences/oasst1_en_validation.jsonl"
TRAINING = (
    "preferences/oasst2_eft_quality.jsonl",
    "preferences/oasst_eft_ranked.jsonl",
    "preferences/oasst_en_100_tree.jsonl",
    "preferences/oasst2_filtered_trees.jsonl.gz",
)


def real(name: str) -> str:
    """Find a real data file, or skip the test."""
    return str(shared(name))


def message(id: str, parent: str | None, role: str, **more: Any) -> dict[str, Any]:
    """Make a message as the hub has it."""
    text = more.pop("text", f"text of {id}")
    given = {"message_id": id, "parent_id": parent, "role": role, "lang": "en", "text": text}
    return given | {"rank": None, "deleted": False} | more


MESSAGES = [
    message("root", None, "prompter"),
    message("worse", "root", "assistant", rank=1),
    message("best", "root", "assistant", rank=0),
    message("gone", "root", "assistant", rank=2, deleted=True),
    message("unranked", "root", "assistant"),
    message("further", "best", "prompter"),
    message("x", "further", "assistant", rank=0),
    message("y", "further", "assistant", rank=1),
    message("german", None, "prompter", lang="de"),
    message("ja", "german", "assistant", lang="de", rank=0),
    message("nein", "german", "assistant", lang="de", rank=1),
    message("orphan", "not here", "assistant", rank=0),
]


def nest(rows: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """Make trees of messages."""
    nodes = {row["message_id"]: row | {"replies": []} for row in rows}
    for node in nodes.values():
        if node["parent_id"] in nodes:
            nodes[node["parent_id"]]["replies"].append(node)
    roots = [node for node in nodes.values() if node["parent_id"] is None]
    return [{"message_tree_id": root["message_id"], "prompt": root} for root in roots]


def write(rows: list[Any], path: Path) -> str:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(params=["messages", "trees"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Table:
    """The same conversations in both forms."""
    rows = MESSAGES if request.param == "messages" else nest(MESSAGES)
    return read_table(write(list(rows), tmp_path / "data.jsonl"))


def test_demonstrations_are_english_first_turns_with_the_best_answer(table: Table) -> None:
    loaded = datasets.demonstrations(table.source)
    (row,) = loaded.rows
    assert (row.id, row.prompt, row.response) == ("root", "text of root", "text of best")
    assert loaded.dropped["language"] == 1
    assert loaded.read == 1 + sum(loaded.dropped.values())


def test_ranked_siblings(table: Table) -> None:
    loaded = datasets.ranked_groups(table.source)
    (group,) = loaded.rows
    assert group.id == "root"
    assert [(r.text, r.rank) for r in group.responses] == [
        ("text of best", 0),
        ("text of worse", 1),
    ]
    assert dict(loaded.dropped) | {"incomplete_tree": 0} == {
        "deleted": 1,
        "no_rank": 1,
        "later_turn": 2,
        "language": 2,
        "incomplete_tree": 0,
    }
    assert loaded.read == 2 + sum(loaded.dropped.values())


def test_later_turns_come_with_their_history(table: Table) -> None:
    later = open_assistant.ranked_groups(table, first_turn_only=False).rows[1]
    assert later.prompt == "text of further"
    assert later.history == ("text of root", "text of best")


def test_options(table: Table) -> None:
    everything = open_assistant.ranked_groups(table, language=None, deleted=True)
    assert [len(group.responses) for group in everything.rows] == [3, 2]
    german = open_assistant.ranked_groups(table, language="de")
    assert [group.id for group in german.rows] == ["german"]


def test_texts_are_all_messages(table: Table) -> None:
    expected = {row["text"] for row in MESSAGES if row["message_id"] != "orphan"}
    assert set(datasets.texts(table.source)) >= expected


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (message("b", "root", "assistant", text=None), "line 2: a message needs"),
        (message("b", "root", "assistant", rank="first"), "line 2: the rank of message b"),
        (message("root", None, "prompter"), "line 2: message root is there twice"),
    ],
)
def test_malformed_messages_are_named(row: Any, problem: str, tmp_path: Path) -> None:
    source = write([MESSAGES[0], row], tmp_path / "data.jsonl")
    with pytest.raises(DataError, match=problem):
        datasets.ranked_groups(source)


def test_conversations_without_ranks_are_refused(tmp_path: Path) -> None:
    rows = [row | {"rank": None} for row in MESSAGES]
    with pytest.raises(DataError, match=r"no ranked groups in .*no_rank"):
        datasets.ranked_groups(write(rows, tmp_path / "data.jsonl"))


def test_the_held_out_set_has_the_published_counts() -> None:
    groups = datasets.ranked_groups(real(HELD_OUT)).rows
    assert len(groups) == 186
    assert sum(len(group.responses) for group in groups) == 541
    assert sum(group.pairs for group in groups) == 531
    assert len(datasets.demonstrations(real(HELD_OUT)).rows) == 186


@pytest.mark.parametrize(
    ("name", "groups", "pairs"),
    [(HELD_OUT, 418, 1026), (TRAINING[2], 212, 754), (TRAINING[3], 120, 325)],
)
def test_all_turns_have_the_published_counts(name: str, groups: int, pairs: int) -> None:
    """The published counts include what moderators deleted, and the synthetic messages."""
    table = read_table(real(name))
    loaded = open_assistant.ranked_groups(table, first_turn_only=False, deleted=True)
    assert len(loaded.rows) == groups
    assert sum(group.pairs for group in loaded.rows) == pairs


def test_overlaps_with_the_held_out_set_are_the_documented_ones() -> None:
    held_out = read_table(real(HELD_OUT)).rows
    ids, exact = {row["message_id"] for row in held_out}, {row["text"] for row in held_out}
    folded = {key(text) for text in exact}
    quality = read_table(real(TRAINING[0])).rows
    assert len({row["prompt_id"] for row in quality} & ids) == 27
    assert sum(row["response_id"] in ids for row in quality) == 90
    ranked = read_table(real(TRAINING[1])).rows
    answers = [key(row["answer"]) for row in ranked if key(row["answer"]) in folded]
    assert (len(answers), len(set(answers))) == (86, 85)
    questions = [row["question"] for row in ranked if row["question"] in exact]
    assert (len(questions), len(set(questions))) == (100, 72)
    for name, trees in ((TRAINING[2], 6), (TRAINING[3], 2)):
        roots = [row["prompt"] for row in read_table(real(name)).rows]
        assert sum(root["message_id"] in ids for root in roots) == trees
        assert sum(key(root["text"]) in folded for root in roots) == trees


def test_training_seeds_share_nothing_with_the_held_out_set_or_each_other() -> None:
    sources = [real(name) for name in TRAINING]
    demonstrations = datasets.demonstrations(sources)
    groups = datasets.ranked_groups(sources)
    seeds = split_seeds(demonstrations.rows, groups.rows, datasets.texts(real(HELD_OUT)))
    assert (len(seeds.demonstrations), len(seeds.groups)) == (1048, 805)
    is_held_out = datasets.held_out(real(HELD_OUT))
    ift = {key(row.prompt) for row in seeds.demonstrations}
    eft = {key(group.prompt) for group in seeds.groups}
    assert not ift & eft
    used = [text for row in seeds.demonstrations for text in (row.prompt, row.response)]
    used += [g.prompt for g in seeds.groups]
    used += [response.text for group in seeds.groups for response in group.responses]
    assert not any(map(is_held_out, used))


@pytest.mark.parametrize(
    ("name", "prompts"),
    [
        ("seeds/self_instruct_user_oriented_252.jsonl", 252),
        ("seeds/koala_test_set.jsonl", 144),
        (HELD_OUT, 188),
        (TRAINING[0], 16),
        (TRAINING[1], 69),
    ],
)
def test_prompts_are_joined_as_alpaca_eval_joins_them(name: str, prompts: int) -> None:
    rows = json.loads(Path(real("alpaca_eval/model_outputs/gpt4_1106_preview.json")).read_text())
    asked = {key(row["instruction"]) for row in rows}
    assert sum(key(row.prompt) in asked for row in datasets.prompts(real(name)).rows) == prompts
