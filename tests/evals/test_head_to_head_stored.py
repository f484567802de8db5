"""Head-to-head figures from stored judgements, in the formats in which they are published."""

import gzip
import json
from pathlib import Path

import pytest

from evals.head_to_head.evaluation import HeadToHead
from harness.errors import DataError
from harness.statistics.intervals import sign_test
from tests.shared_data import shared


@pytest.fixture
def store(tmp_path):
    """Write rows as a file, in the form that its name says."""

    def write(name, rows, encoding="utf-8"):
        path = tmp_path / name
        text = "".join(json.dumps(row) + "\n" for row in rows)
        data = (text if ".jsonl" in name else json.dumps(rows)).encode(encoding)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def score(*files):
    return {result.model: result for result in HeadToHead.score(files)}


def tally(result, against):
    """Wins, ties, losses, and what could not be scored."""
    values = [result.metric(name, against).value for name in ("wins", "ties", "losses")]
    return *values, result.metric("win", against).failed


def review(question, points, **extra):
    row = {"question_id": question, "answer1_id": "one", "answer2_id": "two", "text": "9 8\nSo."}
    return row | {"score": points, "reviewer_id": "gpt-4"} | extra


REVIEWS = [
    review(1, [9, 8.5]),
    review(2, [0, 9]),
    review(3, [7, 7]),
    review(4, [-1, -1]),
    review(5, None),
    review(6, [8, 3]),
]


@pytest.mark.parametrize(
    "name", ["review_small_vicuna-13b.jsonl", "review_small_vicuna-13b.jsonl.gz"]
)
def test_reviews_of_the_vicuna_blog(store, name):
    [result] = score(store(name, REVIEWS, encoding="utf-8-sig")).values()
    assert result.model == "small"
    assert tally(result, "vicuna-13b") == (2, 1, 1, 2)
    total = result.metric("total", "vicuna-13b")
    assert (total.value, total.n, total.failed) == (9 + 0 + 7 + 8, 4, 2)
    assert result.metric("total_opponent", "vicuna-13b").value == 8.5 + 9 + 7 + 3
    assert result.metric("win", "vicuna-13b").value == 0.5
    assert result.metric("net_win", "vicuna-13b").value == 0.25
    assert result.metric("position_consistency", "vicuna-13b") is None, "there is one order"
    assert result.failures == {"no_score": 2}


@pytest.mark.parametrize("points", [[11, 3], [5], "9 8", [float("nan"), 3], [True, 1]])
def test_points_that_are_none_are_failures(store, points):
    [result] = score(store("review_a_b.jsonl", [review(1, points), review(2, [1, 2])])).values()
    assert tally(result, "b") == (0, 0, 1, 1)


def test_models_go_by_their_answers_where_the_file_does_not_name_them(store):
    answers = [
        {"answer_id": id, "model_id": model, "question_id": 1, "text": "Hi."}
        for id, model in (("one", "bard:20230327"), ("two", "vicuna-13b:v1"))
    ]
    reviews = store("all_reviews.jsonl", REVIEWS)
    assert list(score(reviews)) == ["all_reviews.jsonl answer 1"]
    named = store("their_answers.jsonl", answers)
    assert score(reviews, named)["bard:20230327"].metric("win", "vicuna-13b:v1").n == 4
    store("answer_both.jsonl", answers)
    assert list(score(reviews)) == ["bard:20230327"], "found beside the reviews"
    with pytest.raises(DataError, match="only answers"):
        score(named)


def test_of_rows_that_occur_again_the_last_readable_counts(store):
    rows = [review(1, [-1, -1]), review(1, [3, 8]), review(1, [9, 2]), review(1, None)]
    [result] = score(store("review_a_b.jsonl", rows)).values()
    assert tally(result, "b") == (1, 0, 0, 0)
    assert result.metric("total", "b").value == 9


def test_two_files_in_either_order_are_one_match(store):
    """Only a preference that survives the swap counts, and the first file says whose side it is."""
    first = store("review_a_b.jsonl", [review(1, [9, 1]), review(2, [9, 1]), review(3, [5, 5])])
    second = store("review_b_a.jsonl", [review(1, [2, 8]), review(2, [7, 3]), review(3, [4, 4])])
    [result] = score(first, second).values()
    assert (result.model, tally(result, "b")) == ("a", (1, 2, 0, 0))
    assert result.metric("position_consistency", "b").value == pytest.approx(2 / 3)
    assert result.metric("total", "b").value == 9 + 9 + 5 + 8 + 3 + 4


def pair(question, first, second, models=("a", "b"), turn=1):
    row = {"question_id": question, "turn": turn, "model_1": models[0], "model_2": models[1]}
    return row | {"g1_winner": first, "g2_winner": second, "judge": ["gpt-4", "pair-v2"]}


def test_pair_judgements_of_fastchat(store):
    rows = [
        pair(81, "model_1", "model_1"),
        pair(81, "model_2", "model_2", turn=2),
        pair(82, "model_1", "model_2"),
        pair(82, "tie", "tie", turn=2),
        pair(83, "error", "model_1"),
        pair(84, "model_2", "model_2", models=("b", "a")),
        pair(85, "model_1", "tie", models=("a", "c")),
    ]
    [result] = score(store("gpt-4_pair.jsonl", rows)).values()
    assert result.model == "a"
    assert tally(result, "b") == (2, 2, 1, 1)
    consistency = result.metric("position_consistency", "b")
    assert (consistency.value, consistency.n, consistency.failed) == (4 / 5, 5, 1)
    assert tally(result, "c") == (0, 1, 0, 0)


def test_votes_of_several_people(store):
    def vote(judge, a, b, winner):
        row = {"question_id": 81, "turn": 1, "model_a": a, "model_b": b}
        return row | {"winner": winner, "judge": judge}

    rows = [
        vote("expert_1", "x", "y", "model_a"),
        vote("expert_2", "y", "x", "model_a"),
        vote("gpt4_pair", "x", "y", "tie (inconsistent)"),
        vote("expert_3", "x", "y", "whatever"),
    ]
    assert tally(score(store("human.jsonl", rows))["x"], "y") == (1, 1, 1, 1)


def test_turns_of_one_question_are_not_independent(store):
    def judged(name, questions, turns):
        rows = [
            {"question_id": q, "turn": t, "model_1": "x", "model_2": "y", "judge": ["gpt-4", "p"]}
            | {"g1_winner": "model_1" if q % 3 else "model_2"}
            | {"g2_winner": "model_1" if q % 3 else "model_2"}
            for q in range(questions)
            for t in range(1, turns + 1)
        ]
        return score(store(name, rows))["x"]

    once, twice = judged("once.jsonl", 30, 1), judged("twice.jsonl", 30, 2)
    for name in ("win", "loss", "net_win"):
        one, two = once.metric(name, "y"), twice.metric(name, "y")
        assert (one.value, 2 * one.n) == (two.value, two.n)
        assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.15), "as sure as once"
        assert one.low < one.value < one.high
    never = twice.metric("tie", "y")
    assert never.value == never.low == 0 < never.high == once.metric("tie", "y").high
    wins = twice.metric("wins", "y")
    assert (wins.value, wins.n) == (40, 60)
    assert wins.low == pytest.approx(60 * twice.metric("win", "y").low)
    assert {item.cluster for item in twice.items} == {str(q) for q in range(30)}


def test_annotations_of_alpaca_eval_in_one_order_or_both(store):
    def annotation(instruction, preference, one="baseline", two="mine"):
        row = {"instruction": instruction, "output_1": "", "output_2": "", "annotator": "gpt"}
        return row | {"generator_1": one, "generator_2": two, "preference": preference}

    rows = [annotation(f"p{k}", value) for k, value in enumerate((2.0, 1.2, 1.5, 0, None, -1))]
    result = score(store("annotations.json.gz", rows))["mine"]
    assert tally(result, "baseline") == (1, 2, 1, 2)
    both = [annotation("p", 1.9), annotation("p", 1.1, "mine", "baseline")]
    both += [annotation("q", 1.9), annotation("q", 1.9, "mine", "baseline")]
    assert tally(score(store("both.json", both))["mine"], "baseline") == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("first", "second", "counted"),
    [
        ("model", "model", (1, 0, 0, 0)),
        ("M2", "M1", (0, 1, 0, 0)),
        (0, 0.0, (0, 0, 1, 0)),
        ("A", "B", (1, 0, 0, 0)),
        ("tie", "B", (0, 1, 0, 0)),
        ("Right. Better: B", "Right. Better: A", (0, 0, 1, 0)),
        ("A", None, (None, None, None, 1)),
        ("who knows", "B", (None, None, None, 1)),
        (0.3, "B", (None, None, None, 1)),
    ],
)
def test_plain_rows(store, first, second, counted):
    row = {"id": "p1", "model": "M2", "against": "M1", "verdict_1": first, "verdict_2": second}
    assert tally(score(store("rows.jsonl", [row]))["M2"], "M1") == counted


def test_judges_are_kept_apart_and_said(store):
    rows = [pair(81, "model_1", "model_1"), pair(82, "tie", "tie")]
    others = [row | {"judge": "claude"} for row in (pair(81, "model_2", "model_2"),)]
    gpt, claude = HeadToHead.score([store("pair.jsonl", [*rows, *others])])
    assert (gpt.model, tally(gpt, "b")) == ("a", (1, 1, 0, 0))
    assert (claude.model, tally(claude, "b")) == ("a", (0, 0, 1, 0))
    assert [one.metric("win", "b").note for one in (gpt, claude)] == [
        "judged by gpt-4",
        "judged by claude",
    ]
    assert gpt.protocol != claude.protocol


def test_reviewers_of_kinds_of_questions_are_one_judge(store):
    kinds = [f"gpt-4-0328-{kind}" for kind in ("generic", "coding", "math")]
    rows = [review(k, [9, 1], reviewer_id=kind) for k, kind in enumerate(kinds)]
    [result] = HeadToHead.score([store("review_a_b.jsonl", rows)])
    assert result.metric("total", "b").value == 27
    assert result.metric("total", "b").note.startswith("judged by gpt-4-0328; sum of points")


def test_a_torn_line_is_told_with_every_figure(store):
    file = store("review_a_b.jsonl", REVIEWS)
    file.write_text(file.read_text()[:-9])
    [result] = score(file).values()
    assert all("torn last line of review_a_b.jsonl left out" in m.note for m in result.metrics)
    assert tally(result, "b") == (1, 1, 1, 2)


@pytest.mark.parametrize("name", ["organisation/name", "organisation/name:config:split"])
def test_what_is_no_file_is_not_looked_for_elsewhere(name):
    with pytest.raises(DataError, match="No such file"):
        score(Path(name))


def test_one_result_a_model_with_all_that_it_met(store):
    rows = [
        {"id": k, "model": model, "against": against, "winner": winner}
        for k, (model, against, winner) in enumerate(
            [("M2", "M1", "M2"), ("M2", "SFT", "tie"), ("M1", "SFT", "against")]
        )
    ]
    results = score(store("rows.jsonl", rows))
    assert list(results) == ["M2", "M1"]
    assert tally(results["M2"], "M1") == (1, 0, 0, 0)
    assert tally(results["M2"], "SFT") == (0, 1, 0, 0)
    assert tally(results["M1"], "SFT") == (0, 0, 1, 0)


def test_what_is_no_judgement_is_refused(store):
    with pytest.raises(DataError, match=r"the columns question, answer; wanted judgements of two"):
        score(store("x.jsonl", [{"question": "a", "answer": "b"}]))
    with pytest.raises(DataError, match=r"line 2: there is no 'answer1_id'|line 2: .*question_id"):
        score(store("review_a_b.jsonl", [review(1, [1, 2]), {"score": [1, 2]}]))
    with pytest.raises(DataError, match="is empty"):
        score(store("empty.jsonl", []))


PAPER = [  # Yuan et al. (2024): wins, ties and losses; per cent
    ("M1", "SFT", (78, 99, 79), (30.5, 38.7, 30.9), (-0.004, 0.096)),
    ("M2", "SFT", (126, 93, 37), (49.2, 36.3, 14.5), (0.348, 0.088)),
    ("M3", "SFT", (160, 71, 25), (62.5, 27.7, 9.8), (0.527, 0.082)),
    ("M2", "M1", (142, 84, 30), (55.5, 32.8, 11.7), (0.438, 0.085)),
    ("M3", "M2", (122, 102, 32), (47.7, 39.8, 12.5), (0.352, 0.085)),
    ("M3", "M1", (176, 58, 22), (68.8, 22.7, 8.6), (0.602, 0.079)),
]


def rows_of(model, against, counts):
    verdicts = [("model", "model"), ("model", "against"), ("against", "against")]
    said = [pair for pair, count in zip(verdicts, counts, strict=True) for _ in range(count)]
    return [
        {"id": k, "model": model, "against": against, "verdict_1": one, "verdict_2": two}
        for k, (one, two) in enumerate(said)
    ]


def test_the_figures_of_the_paper_from_their_counts(store):
    """Fig. 3: GPT-4 on 256 prompts in both orders, a disagreement is a tie."""
    rows = [row for model, against, counts, *_ in PAPER for row in rows_of(model, against, counts)]
    results = score(store("figure_3.jsonl", rows))
    for model, against, counts, per_cent, (net, half) in PAPER:
        result = results[model]
        assert tally(result, against) == (*counts, 0)
        for name, expected in zip(("win", "tie", "loss"), per_cent, strict=True):
            assert 100 * result.metric(name, against).value == pytest.approx(expected, abs=0.05)
        found = result.metric("net_win", against)
        assert (found.value, found.n) == (pytest.approx(net, abs=0.00051), 256)
        assert (found.high - found.low) / 2 == pytest.approx(half, abs=0.0005)


@pytest.mark.parametrize(
    ("model", "counts", "per_cent", "p"),
    [
        ("M1", (14, 13, 23), (28.0, 26.0, 46.0), 0.1878),
        ("M2", (28, 12, 10), (56.0, 24.0, 20.0), 0.0051),
        ("M3", (33, 8, 9), (66.0, 16.0, 18.0), 0.00027),
    ],
)
def test_the_human_evaluation_of_the_paper_from_its_counts(store, model, counts, per_cent, p):
    """Fig. 5: 50 instructions, the majority of three people."""
    result = score(store("figure_5.jsonl", rows_of(model, "SFT", counts)))[model]
    found = [100 * result.metric(name, "SFT").value for name in ("win", "tie", "loss")]
    assert found == pytest.approx(per_cent, abs=1e-9)
    wins, _, losses, _ = tally(result, "SFT")
    assert sign_test(int(wins), int(losses)) == pytest.approx(p, rel=0.02)


@pytest.mark.parametrize(
    ("model", "totals", "counts"),
    [
        ("llama-13b", (513, 694), (3, 0, 77)),
        ("alpaca-13b", (583, 704), (3, 1, 76)),
        ("bard", (664, 655.5), (30, 10, 40)),
        ("gpt35", (693, 638), (44, 22, 14)),
    ],
)
def test_the_totals_of_the_vicuna_blog(model, totals, counts):
    reviews = shared(f"head_to_head/vicuna_blog/review_{model}_vicuna-13b.jsonl")
    [result] = score(reviews).values()
    found = [result.metric(name, "vicuna-13b").value for name in ("total", "total_opponent")]
    assert (result.model, tuple(found)) == (model, totals)
    assert tally(result, "vicuna-13b") == (*counts, 0)
