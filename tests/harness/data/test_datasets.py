"""Every layout of data is read, and what is wrong with a file is said with its place."""

import gzip
import json
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import datasets
from harness.data.examples import Demonstration, RankedGroup, RankedResponse
from harness.data.overlap import key, split_seeds
from harness.errors import DataError

Row = Mapping[str, Any]
Write = Callable[..., str]
LOADERS = (datasets.prompts, datasets.demonstrations, datasets.ranked_groups)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows as a JSON Lines file."""

    def write(*rows: Row, name: str = "data.jsonl") -> str:
        path = tmp_path / name
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return str(path)

    return write


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "response": "So."},
        {"prompt": "Why?", "completion": "So."},
        {"instruction": "Why?", "input": "", "output": "So."},
        {"instruction": "Why?", "output": "So."},
        {"question": "Why?", "answer": "So."},
        {"instruction": "Why?", "instances": [{"input": "", "output": "So."}]},
        {
            "messages": [
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": "So."},
            ]
        },
        {"prompt": "Why?", "chosen": "So.", "rejected": "No."},
        {
            "prompt": [{"role": "user", "content": "Why?"}],
            "completion": [{"role": "assistant", "content": "So."}],
        },
        {"question": "Why?", "answer": "So.", "rank": 0.0},
        {"prompt_id": "a", "prompt_text": "Why?", "response_text": "So.", "quality_score": 0.5},
    ],
)
def test_demonstration_layouts(row: Row, write: Write) -> None:
    (demonstration,) = datasets.demonstrations(write(row)).rows
    assert (demonstration.prompt, demonstration.response) == ("Why?", "So.")
    assert [row.prompt for row in datasets.prompts(write(row)).rows] == ["Why?"]


def test_an_input_follows_its_instruction(write: Write) -> None:
    alpaca = {"instruction": "Translate.", "input": "Hello", "output": "Bonjour"}
    seed = {"instruction": "Translate.", "instances": [{"input": "Hello", "output": "Bonjour"}]}
    for row in (alpaca, seed):
        (demonstration,) = datasets.demonstrations(write(row)).rows
        assert demonstration.prompt == "Translate.\n\nHello"


@pytest.mark.parametrize(
    "rows",
    [
        [{"prompt": "Why?", "chosen": "So.", "rejected": "No."}],
        [{"instruction": "Why?", "output": "?", "chosen": "So.", "rejected": "No."}],
        [
            {
                "chosen": [
                    {"role": "user", "content": "Why?"},
                    {"role": "assistant", "content": "So."},
                ],
                "rejected": [
                    {"role": "user", "content": "Why?"},
                    {"role": "assistant", "content": "No."},
                ],
            }
        ],
        [
            {"question": "Why?", "answer": "No.", "rank": 1},
            {"question": "Why?", "answer": "So.", "rank": 0},
        ],
    ],
)
def test_ranked_layouts(rows: Sequence[Row], write: Write) -> None:
    (group,) = datasets.ranked_groups(write(*rows)).rows
    assert group.prompt == "Why?"
    assert [(r.text, r.rank) for r in group.responses] == [("So.", 0), ("No.", 1)]


def test_scores_become_ranks_and_equal_scores_tie(write: Write) -> None:
    scores = {"a": 0.5, "b": 0.9, "c": 0.5, "d": 0.1, "e": None}
    source = write(
        *(
            {"prompt_id": "1", "prompt_text": "Why?", "response_text": t, "quality_score": s}
            for t, s in scores.items()
        )
    )
    loaded = datasets.ranked_groups(source)
    (group,) = loaded.rows
    assert group.responses == (
        RankedResponse("b", 0, score=0.9),
        RankedResponse("a", 1, score=0.5),
        RankedResponse("c", 1, score=0.5),
        RankedResponse("d", 3, score=0.1),
    )
    assert group.pairs == 5  # of six, one is a tie
    assert loaded.dropped == {"no_score": 1}
    assert [row.response for row in datasets.demonstrations(source).rows] == ["b"]


@given(
    scores=st.lists(
        st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.25, 0.5])), min_size=2, max_size=8
    )
)
def test_ranks_order_as_the_scores_do(
    scores: list[float | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("scores") / "data.jsonl"
    path.write_text(
        "".join(
            json.dumps({"prompt": "Why?", "response": f"answer {i}", "quality_score": score}) + "\n"
            for i, score in enumerate(scores)
        )
    )
    known = [score for score in scores if score is not None]
    if len(known) < 2:
        with pytest.raises(DataError, match="none can be used"):
            datasets.ranked_groups(str(path))
        return
    loaded = datasets.ranked_groups(str(path))
    (group,) = loaded.rows
    assert loaded.read == len(group.responses) + sum(loaded.dropped.values())
    for one in group.responses:
        for other in group.responses:
            assert one.score is not None
            assert other.score is not None
            assert (one.rank < other.rank) == (one.score > other.score)


def test_every_row_is_accounted_for_and_has_its_own_id(write: Write) -> None:
    source = write(
        {"id": "a", "prompt": "Why?", "response": "So."},
        {"id": "a", "prompt": "How?", "response": "Thus."},
        {"id": "b", "prompt": "why? ", "response": "so."},
        {"id": "c", "prompt": "When?", "response": ""},
        {"id": "d", "prompt": None, "response": "Then."},
    )
    loaded = datasets.demonstrations(source)
    assert [row.prompt for row in loaded.rows] == ["Why?", "How?"]
    assert loaded.rows[0].id == "a"
    assert loaded.rows[1].id != "a"
    assert loaded.dropped == {"duplicate": 1, "empty": 2}
    assert loaded.read == 5
    assert datasets.demonstrations(source).rows == loaded.rows


def test_several_sources_are_joined_and_repeated_rows_count_once(write: Write) -> None:
    one = write({"id": "1", "prompt": "Why?"}, {"id": "2", "prompt": "How?"}, name="one.jsonl")
    two = write({"id": "1", "prompt": "When?"}, {"id": "9", "prompt": "why?"}, name="two.jsonl")
    loaded = datasets.prompts([one, two])
    assert [row.prompt for row in loaded.rows] == ["Why?", "How?", "When?"]
    assert len({row.id for row in loaded.rows}) == 3
    assert loaded.dropped == {"duplicate": 1}


def test_a_draw_is_by_seed_without_repeats(write: Write) -> None:
    source = write(*({"prompt": f"Prompt {i}?"} for i in range(50)))
    drawn = datasets.prompts(source, rows=20, seed=1)
    assert drawn.rows == datasets.prompts(source, rows=20, seed=1).rows
    assert drawn.rows != datasets.prompts(source, rows=20, seed=2).rows
    assert len(set(drawn.rows)) == 20
    assert drawn.dropped == {"not_drawn": 30}
    assert len(datasets.prompts(source, rows=99).rows) == 50


def test_the_fingerprint_is_of_the_content(write: Write) -> None:
    row = {"id": "1", "prompt": "Why?"}
    zipped = datasets.prompts(write(row, name="other.jsonl.gz"))
    assert zipped.fingerprint == datasets.prompts(write(row)).fingerprint
    changed = datasets.prompts(write(row | {"prompt": "How?"}, name="changed.jsonl"))
    assert changed.fingerprint != zipped.fingerprint


def test_json_csv_and_parquet_hold_the_same(write: Write, tmp_path: Path) -> None:
    rows = [{"prompt": "Why?", "response": "So."}, {"prompt": "How?", "response": "Thus, so."}]
    expected = datasets.demonstrations(write(*rows)).rows
    (tmp_path / "data.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "data.csv").write_text('prompt,response\nWhy?,So.\nHow?,"Thus, so."\n')
    for name in ("data.json", "data.csv"):
        assert datasets.demonstrations(str(tmp_path / name)).rows == expected


@pytest.mark.parametrize("name", ["ift", "eft", "preferences", "prompts", "evaluation"])
def test_the_micro_world_is_a_source(name: str) -> None:
    source = f"microworld:{name}"
    loaded = datasets.prompts(source, rows=20, seed=3)
    assert loaded.rows == datasets.prompts(source, rows=20, seed=3).rows
    assert loaded.rows != datasets.prompts(source, rows=20, seed=4).rows
    assert {row.prompt for row in datasets.prompts(source).rows} <= set(datasets.texts(source))


def test_held_out_facts_of_the_micro_world_are_held_out_however_they_are_asked() -> None:
    is_held_out = datasets.held_out(["microworld:evaluation"])
    asked = datasets.prompts("microworld:evaluation", rows=50, seed=123)
    trained = datasets.prompts("microworld:ift", rows=50, seed=123)
    assert all(is_held_out(row.prompt) for row in asked.rows)
    assert not any(is_held_out(row.prompt) for row in trained.rows)
    assert not any(datasets.held_out([])(row.prompt) for row in asked.rows)


def test_the_prompts_and_answers_of_a_file_are_held_out(write: Write) -> None:
    is_held_out = datasets.held_out(write({"prompt": "Why?", "chosen": "So.", "rejected": "No."}))
    assert all(map(is_held_out, ("why? ", "So.", "NO.")))
    assert not is_held_out("How?")


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"prompt": "Why?"}\n\n{"prompt": \n', r"a\.jsonl, line 3, is not JSON"),
        ("a.jsonl", b'{"prompt": "Why?"}\n["Why?"]\n', "line 2, is no JSON object but a list"),
        ("a.jsonl", b'{"prompt": "Wh\xff"}\n', "line 1, is not JSON"),
        ("a.jsonl", b"\n", r"a\.jsonl' is empty"),
        ("a.json", b'[{"prompt": "Why?"},\n{"prompt"}]', r"a\.json, line 2, is not JSON"),
        ("a.json", b'{"prompt": "Why?"}', "wanted a list of objects"),
        ("a.json", b'{"prompt": 1}\n{"prompt": 2}', "one object a line is .jsonl"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.jsonl", b'{"text": "Why?"}\n', "has the columns text|columns: text"),
        ("a.txt", b"Why?\n", "wanted a file .*jsonl"),
    ],
)
def test_bad_files(
    load: Callable[[str], object], name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        load(str(path))
    assert "\n" not in str(error.value)
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("load", "rows", "message"),
    [
        (datasets.prompts, [{"prompt": "Why?"}, {"prompt": 7}], "line 2: 'prompt' is '7', not a"),
        (
            datasets.prompts,
            [{"prompt": "Why?"}, {"id": "1"}],
            "line 2: no prompt or .* among the columns id",
        ),
        (
            datasets.demonstrations,
            [{"prompt": "Why?", "response": "So."}, {"prompt": "How?"}],
            "line 2: no .*response.* among the columns prompt",
        ),
        (datasets.demonstrations, [{"prompt": "Why?"}], "has the columns prompt; wanted one of"),
        (
            datasets.ranked_groups,
            [{"prompt": "Why?", "response": "So."}],
            "a seed file without ranks",
        ),
        (
            datasets.ranked_groups,
            [{"prompt": "Why?", "response": "So.", "rank": "best"}],
            "line 1: 'rank' is 'best', not a number",
        ),
        (
            datasets.ranked_groups,
            [{"prompt": "Why?", "response": "So.", "rank": 0.5}],
            "line 1: 'rank' is 0.5",
        ),
        (
            datasets.ranked_groups,
            [{"prompt": "Why?", "response": "So.", "rank": 0}],
            "no ranked groups in .*single_reply 1",
        ),
        (
            datasets.ranked_groups,
            [
                {"prompt_id": "1", "prompt": "Why?", "response": "So.", "rank": 0},
                {"prompt_id": "1", "prompt": "How?", "response": "No.", "rank": 1},
            ],
            "line 2: prompt_id 1 stands at two different prompts",
        ),
    ],
)
def test_bad_rows(
    load: Callable[[str], object], rows: Sequence[Row], message: str, write: Write
) -> None:
    with pytest.raises(DataError, match=message):
        load(write(*rows))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.jsonl", "'nowhere.jsonl' does not exist"),
        ("no file at all", "there is no file 'no file at all'"),
        ("microworld:everything", "the micro-world has microworld:ift"),
        ([], "no data source is named"),
    ],
)
def test_missing_sources(source: datasets.Source, message: str) -> None:
    with pytest.raises(DataError, match=message):
        datasets.prompts(source)
    with pytest.raises(DataError, match="has no ranked groups"):
        datasets.ranked_groups("microworld:ift")


WORDS = st.sampled_from(string.ascii_lowercase[:6])


@given(
    shown=st.lists(st.tuples(WORDS, WORDS), max_size=8),
    ranked=st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=2, max_size=4)), max_size=8),
    exclude=st.sets(WORDS, max_size=3),
    share=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_split_shares_no_prompt_and_nothing_held_out(
    shown: list[tuple[str, str]],
    ranked: list[tuple[str, list[str]]],
    exclude: set[str],
    share: float,
) -> None:
    demonstrations = [Demonstration(str(i), p, f" {r.upper()}") for i, (p, r) in enumerate(shown)]
    groups = [
        RankedGroup(str(i), p.upper(), tuple(RankedResponse(r, k) for k, r in enumerate(answers)))
        for i, (p, answers) in enumerate(ranked)
    ]
    seeds = split_seeds(demonstrations, groups, exclude, share)
    ift = {key(row.prompt) for row in seeds.demonstrations}
    eft = [key(group.prompt) for group in seeds.groups]
    assert not ift & set(eft)
    assert len(eft) == len(set(eft))
    kept = [t for d in seeds.demonstrations for t in (d.prompt, d.response)]
    kept += [t for g in seeds.groups for t in (g.prompt, *(r.text for r in g.responses))]
    assert not {key(text) for text in kept} & exclude
    assert all(len(group.responses) >= 2 for group in seeds.groups)
    lost = {reason: n for reason, n in seeds.dropped.items() if reason.startswith("demonstrations")}
    assert len(demonstrations) == len(seeds.demonstrations) + sum(lost.values())
    lost = {reason: n for reason, n in seeds.dropped.items() if reason.startswith("groups")}
    assert len(groups) == len(seeds.groups) + sum(lost.values())
    if share == 0.0:
        assert not lost.get("groups: prompt among the demonstrations")
