"""Human data to learn from: what is left out, what is thinned, and that every row is counted."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import datasets
from harness.data.examples import RankedGroup, RankedResponse
from harness.errors import DataError
from harness.judge import Judge, pointwise
from harness.protocols import Request, Sampling
from harness.reading import read_points
from harness.rows import RowLog
from tests.training.self_rewarding.scripts import script
from training.self_rewarding import seeds
from training.self_rewarding.seeds import Human, Judgement, accept, thin, without_reasons
from training.self_rewarding.settings import Seeds, SelfRewardingSettings

RUBRIC = pointwise("five_points")


def load(settings: Seeds, seed: int) -> Human:
    return seeds.load(settings, settings.held_out, seed)


def save(path: Path, rows: Sequence[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def demonstrations(path: Path, numbers: Sequence[int]) -> str:
    return save(path, [{"prompt": f"Ask {i}", "response": f"Say {i}"} for i in numbers])


def rankings(path: Path, numbers: Sequence[int], answers: int = 3) -> str:
    rows = [
        {"prompt": f"Ask {i}", "response": f"Answer {i} {rank}", "rank": rank}
        for i in numbers
        for rank in range(answers)
    ]
    return save(path, rows)


def numbers(human: Human) -> tuple[set[str], set[str]]:
    return {row.prompt for row in human.ift}, {group.prompt for group in human.eft}


def check_identity(human: Human) -> None:
    ift, eft = human.metrics["ift"], human.metrics["eft"]
    assert ift["rows"] == len(human.ift)
    assert ift["read"] == ift["rows"] + sum(ift["dropped"].values())
    assert eft["groups"] == len(human.eft)
    assert eft["answers"] == sum(len(group.responses) for group in human.eft)
    assert eft["read"] == eft["answers"] + sum(eft["dropped"].values())


def test_as_many_as_asked_remain_after_what_must_go(tmp_path: Path) -> None:
    """10 + 5 demonstrations of which 4 are held out and some of 6 shared prompts go to EFT."""
    settings = Seeds(
        ift=[
            demonstrations(tmp_path / "a.jsonl", range(10)),
            demonstrations(tmp_path / "b.jsonl", range(8, 15)),
        ],
        eft=[rankings(tmp_path / "c.jsonl", range(9, 30)), rankings(tmp_path / "d.jsonl", [40])],
        held_out=(demonstrations(tmp_path / "e.jsonl", [0, 1, 2, 3, 20, 21]),),
    )
    everything = load(settings, seed=0)
    check_identity(everything)
    ift, eft = numbers(everything)
    assert not ift & eft
    assert not (ift | eft) & {f"Ask {i}" for i in (0, 1, 2, 3, 20, 21)}
    assert ift | eft == {f"Ask {i}" for i in (*range(4, 20), *range(22, 30), 40)}
    assert everything.metrics["ift"]["dropped"]["duplicate"] == 2

    most = settings.model_copy(
        update={"ift_rows": len(everything.ift), "eft_groups": len(everything.eft) - 1}
    )
    drawn = load(most, seed=0)
    check_identity(drawn)
    assert numbers(drawn)[0] == ift
    assert len(drawn.eft) == len(everything.eft) - 1
    assert drawn.metrics["eft"]["dropped"]["not_drawn"] == 3

    few = most.model_copy(update={"ift_rows": 3, "eft_groups": 3})
    assert load(few, seed=0) == load(few, seed=0)
    assert len({frozenset(numbers(load(few, seed))[0]) for seed in range(5)}) > 1


def test_overlap_is_left_in_where_that_is_asked_but_never_what_is_held_out(tmp_path: Path) -> None:
    settings = Seeds(
        ift=demonstrations(tmp_path / "a.jsonl", range(4)),
        eft=rankings(tmp_path / "b.jsonl", range(4)),
        disjoint=False,
    )
    human = load(settings, seed=0)
    check_identity(human)
    assert (len(human.ift), len(human.eft)) == (4, 4)
    held_out = (demonstrations(tmp_path / "c.jsonl", [3]),)
    human = load(settings.model_copy(update={"held_out": held_out}), seed=0)
    check_identity(human)
    assert (len(human.ift), len(human.eft)) == (3, 3)


def test_prompts_of_the_selection_are_held_out_too(tmp_path: Path) -> None:
    validation = save(tmp_path / "c.jsonl", [{"prompt": f"Ask {i}"} for i in (2, 12)])
    settings = SelfRewardingSettings(
        seeds={
            "ift": demonstrations(tmp_path / "a.jsonl", range(5)),
            "eft": rankings(tmp_path / "b.jsonl", range(10, 15)),
            "held_out": [demonstrations(tmp_path / "d.jsonl", [0, 10])],
        },
        sft={"learning_rate": 1, "checkpoint_every": 1},
        dpo={"learning_rate": 1, "checkpoint_every": 1},
        selection={"prompts": validation},
    )
    assert settings.held_out == (*settings.seeds.held_out, validation)
    human = seeds.load(settings.seeds, settings.held_out, seed=0)
    check_identity(human)
    assert numbers(human) == (
        {f"Ask {i}" for i in (1, 3, 4)},
        {f"Ask {i}" for i in (11, 13, 14)},
    )
    without = settings.model_copy(update={"selection": None})
    assert without.held_out == settings.seeds.held_out


def test_what_the_microworld_holds_out_is_left_out_of_files_too(tmp_path: Path) -> None:
    held_out = [row.prompt for row in datasets.prompts("microworld:evaluation", 3).rows]
    allowed = [row.prompt for row in datasets.prompts("microworld:prompts", 3).rows]
    rows = [{"prompt": prompt, "response": "So."} for prompt in (*held_out, *allowed)]
    settings = Seeds(
        ift=save(tmp_path / "a.jsonl", rows), held_out=("microworld:evaluation",), disjoint=False
    )
    human = load(settings, seed=0)
    assert numbers(human)[0] == set(allowed)
    assert human.metrics["ift"]["dropped"] == {"overlap": 3}


def test_the_microworld_makes_as_many_rows_as_are_wanted() -> None:
    settings = Seeds(
        ift="microworld:ift", ift_rows=1300, eft="microworld:eft", eft_groups=40, disjoint=False
    )
    human = load(settings, seed=0)
    check_identity(human)
    assert (len(human.ift), len(human.eft)) == (1300, 40)
    assert load(settings, seed=1).ift != human.ift


def test_of_several_made_sources_as_many_are_drawn_as_are_wanted() -> None:
    made = ("microworld:ift", "microworld:eft")
    human = load(Seeds(ift=made, ift_rows=30, eft="microworld:eft", eft_groups=9), seed=0)
    check_identity(human)
    assert human.metrics["ift"]["dropped"]["not_drawn"] == 30


def test_without_eft_there_are_no_groups() -> None:
    human = load(Seeds(ift="microworld:ift", ift_rows=5), seed=0)
    assert human.eft == ()
    assert "eft" not in human.metrics


def test_a_seed_file_without_ranks_is_one_line(tmp_path: Path) -> None:
    plain = demonstrations(tmp_path / "plain.jsonl", range(4))
    with pytest.raises(DataError, match=r"plain\.jsonl is a seed file without ranks") as caught:
        load(Seeds(ift=plain, eft=plain), seed=0)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="microworld:ift has no ranked groups"):
        load(Seeds(ift="microworld:ift", ift_rows=5, eft="microworld:ift", eft_groups=5), seed=0)


def test_seeds_that_are_all_held_out_are_an_error(tmp_path: Path) -> None:
    source = demonstrations(tmp_path / "a.jsonl", range(4))
    with pytest.raises(
        DataError, match=r"nothing of seeds\.ift = .*a\.jsonl' is left .*\(.*prompt held out 4\)"
    ):
        load(Seeds(ift=source, held_out=(source,)), seed=0)
    ranked = rankings(tmp_path / "b.jsonl", [0, 1])
    with pytest.raises(DataError, match=r"nothing of seeds\.eft"):
        load(
            Seeds(
                ift=demonstrations(tmp_path / "c.jsonl", [7]),
                eft=ranked,
                held_out=(source,),
            ),
            seed=0,
        )


def group(name: str, ranks: Sequence[int]) -> RankedGroup:
    return RankedGroup(
        name,
        f"Ask {name}",
        tuple(RankedResponse(f"Answer {i}", rank) for i, rank in enumerate(ranks)),
    )


def said(name: str, texts: Sequence[str]) -> dict[str, tuple[str, object]]:
    return {f"{name}/{i}": (text, read_points(text)) for i, text in enumerate(texts)}


def test_groups_are_kept_whole_where_no_verdict_contradicts_the_ranks() -> None:
    groups = [
        group("agrees", [0, 1, 2]),
        group("contradicts", [0, 1, 2]),
        group("unreadable", [0, 1]),
        group("ties", [0, 1]),
        group("equal ranks", [0, 0]),
    ]
    given = {
        **said("agrees", ["Score: 5", "Score: 3", "Score: 2.5"]),
        **said("contradicts", ["Score: 5", "Score: 2", "Score: 3"]),
        **said("unreadable", ["Score: 5", "Rather poor"]),
        **said("ties", ["Fine. Score: 4", "Score: 4"]),
        **said("equal ranks", ["Score: 1", "Score: 4"]),
    }
    taught = accept(groups, given, most_common_share=1.0, seed=0)
    assert [(row.prompt, row.score) for row in taught.rows] == [
        ("Ask agrees", 5),
        ("Ask agrees", 3),
        ("Ask agrees", 2.5),
        ("Ask ties", 4),
        ("Ask ties", 4),
        ("Ask equal ranks", 1),
        ("Ask equal ranks", 4),
    ]
    assert taught.rows[3] == Judgement("Ask ties", "Answer 0", "Fine. Score: 4", 4.0)
    assert taught.dropped == {"contradicts_ranking": 1, "unreadable": 1}
    metrics = taught.metrics
    assert metrics["groups"] == metrics["groups_kept"] + sum(metrics["groups_dropped"].values())
    assert metrics["accepted"] == metrics["rows"] + metrics["thinned"] == 7
    assert metrics["unreadable"] == {"no_score": 1}
    assert metrics["score_histogram"] == {"1": 1, "2.5": 1, "3": 1, "4": 3, "5": 1}


@given(
    scores=st.lists(st.integers(0, 5).map(float)),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 9),
)
def test_only_the_most_common_score_is_thinned_and_no_more_than_needed(
    scores: list[float], share: float, seed: int
) -> None:
    rows = [Judgement("p", str(place), "v", score) for place, score in enumerate(scores)]
    kept = thin(rows, share, seed)
    gone = {row.score for row in rows} if not kept else {r.score for r in rows if r not in kept}
    assert [row for row in rows if row in kept] == kept, "in their order"
    assert len(gone) <= 1
    if not gone:
        return
    [score] = gone
    assert scores.count(score) == max(map(scores.count, scores))
    left = sum(row.score == score for row in kept)
    assert left <= share * len(kept) + 1e-9
    assert left + 1 > share * (len(kept) + 1) - 1e-6


def test_a_score_that_is_the_only_one_is_not_thinned_away() -> None:
    rows = [Judgement("p", str(i), "v", 4.0) for i in range(9)]
    assert thin(rows, 0.3, seed=0) == rows
    assert thin([], 0.3, seed=0) == []


def test_the_datas_own_verdicts_are_needed_for_all() -> None:
    given = RankedGroup(
        "g", "Ask", (RankedResponse("a", 0, "Good. Score: 5"), RankedResponse("b", 1))
    )
    with pytest.raises(DataError, match=r'answer 1 of EFT group g has no verdict.*; use "sft"'):
        seeds.annotations([given])


def annotate(path: Path, rows: int = 10**6, n: int = 2) -> tuple[seeds.Verdicts, list[str]]:
    def write(request: Request, index: int) -> str:
        if request.id == "b/1":
            return "Hard to say"
        return f"Words. Score: {len(request.id)}" if index else "No idea"

    groups = [group("a", [0, 1]), group("b", [0, 1])]
    with script(write, rows) as model, RowLog(path) as log:
        judge = Judge(RUBRIC, model, Sampling(n=n, max_tokens=64))
        return seeds.annotate(judge, groups, log), model.answered


def test_of_a_models_verdicts_the_first_readable_one_counts(tmp_path: Path) -> None:
    written, asked = annotate(tmp_path / "log.jsonl")
    assert sorted(asked) == sorted(2 * ["a/0", "a/1", "b/0", "b/1"])
    assert written["a/0"] == ("Words. Score: 3", read_points("Score: 3"))
    assert written["b/1"][0] == "Hard to say"
    assert written["b/1"][1].reason == "no_score"
    assert annotate(tmp_path / "log.jsonl") == (written, [])


def test_an_interrupted_annotation_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        annotate(tmp_path / "log.jsonl", rows=5)
    resumed, asked = annotate(tmp_path / "log.jsonl")
    assert len(asked) == 4
    assert resumed == annotate(tmp_path / "whole.jsonl")[0]


def test_a_judge_of_one_token_learns_the_points_alone() -> None:
    rows = [
        Judgement("Q", "A", "Fine. Score: 4", 4.0),
        Judgement("Q", "B", "Not quite. Score: 2.5", 2.5),
    ]
    assert without_reasons(rows) == (
        Judgement("Q", "A", "Score: 4", 4.0),
        Judgement("Q", "B", "Score: 2.5", 2.5),
    )
