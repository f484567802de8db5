"""Judge agreement from stored judgements, in the formats in which they are published."""

import gzip
import json
from pathlib import Path

import pytest

from evals.judge_agreement.evaluation import JudgeAgreement
from harness.errors import DataError
from tests.shared_data import shared


@pytest.fixture
def store(tmp_path):
    """Write rows as a file, in the form that its name says."""

    def write(name, rows, encoding="utf-8"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ".jsonl" in name
        text = "".join(json.dumps(row) + "\n" for row in rows) if lines else json.dumps(rows)
        data = text.encode(encoding)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def score(*files):
    return JudgeAgreement.score(files)


def one(*files):
    [result] = score(*files)
    return result


def counts(result, name):
    """How many were right, of how many, and how many failed."""
    metric = result.metric(name)
    return round(metric.value * metric.n), metric.n, metric.failed


def vote(question, turn, a, b, winner, judge):
    row = {"question_id": question, "turn": turn, "model_a": a, "model_b": b}
    return row | {"winner": winner, "judge": judge, "conversation_a": [], "something": "else"}


VOTES = [
    vote(81, 1, "x", "y", "model_a", "expert_1"),
    vote(81, 1, "y", "x", "model_b", "expert_2"),  # x again, on the other side
    vote(81, 1, "x", "y", "tie", "author_1"),
    vote(81, 2, "x", "y", "model_b", "expert_1"),
    vote(82, 1, "x", "y", "model_b", "author_1"),
    vote(82, 1, "x", "z", "model_a", "expert_1"),  # not judged
]
JUDGED = [
    vote(81, 1, "y", "x", "model_b", "gpt4_pair"),
    vote(81, 2, "x", "y", "model_a", "gpt4_pair"),
    vote(82, 1, "x", "y", "tie (inconsistent)", "gpt4_pair"),
    vote(83, 1, "x", "y", "model_a", "gpt4_pair"),  # nobody voted
]


def test_votes_are_counted_one_by_one_and_models_by_name(store):
    result = one(store("human.jsonl", VOTES), store("gpt4_pair.jsonl", JUDGED))
    assert result.model == "gpt4_pair"
    assert counts(result, "pairwise_accuracy") == (2, 3, 0)
    assert counts(result, "three_class_accuracy") == (2, 5, 0)
    assert counts(result, "pairwise_accuracy/turn_1_expert") == (2, 2, 0)
    assert counts(result, "three_class_accuracy/turn_1_author") == (0, 2, 0)
    assert counts(result, "pairwise_accuracy/turn_2_all") == (0, 1, 0)
    assert counts(result, "human_three_class_accuracy") == (1, 3, 0)
    assert counts(result, "human_pairwise_accuracy/turn_1_expert") == (1, 1, 0)
    assert result.description.startswith("5 human votes on 3 pairs")


def test_who_votes_twice_counts_twice_but_agrees_with_nobody(store):
    """As in the published votes, where one person saw the same two answers on either side."""
    votes = [vote(81, 1, "x", "y", "model_a", "expert_1"), vote(81, 1, "y", "x", "tie", "expert_1")]
    result = one(store("human.jsonl", votes), store("gpt4_pair.jsonl", JUDGED))
    assert counts(result, "three_class_accuracy") == (1, 2, 0)
    assert result.metric("human_three_class_accuracy").n == 0


def test_a_judgement_of_fastchat_in_both_orders(store):
    def pair(question, turn, first, second):
        return {
            "question_id": question,
            "turn": turn,
            "model_1": "y",
            "model_2": "x",
            "g1_winner": first,
            "g2_winner": second,
            "judge": ["gpt-4", "pair-v2"],
        }

    rows = [
        pair(81, 1, "model_2", "model_2"),
        pair(81, 2, "model_1", "model_2"),
        pair(82, 1, "error", "model_1"),
    ]
    result = one(store("gpt-4_pair.jsonl", rows), store("human.jsonl", VOTES))
    assert result.model == "gpt-4"
    assert counts(result, "pairwise_accuracy") == (2, 2, 1)
    assert counts(result, "three_class_accuracy") == (2, 4, 1)


def test_single_scores_are_compared_and_minus_one_is_a_failure(store):
    def single(question, model, points):
        row = {"question_id": question, "turn": 1, "model": model, "score": points}
        return row | {"judge": ["gpt-4", "single-v1"]}

    rows = [single(81, "x", 9), single(81, "y", 0), single(82, "x", -1), single(82, "y", 7)]
    result = one(store("gpt-4_single.jsonl", rows), store("human.jsonl", VOTES[:5]))
    assert result.model == "gpt-4 single"
    assert counts(result, "pairwise_accuracy/turn_1_all") == (2, 2, 1)
    assert counts(result, "three_class_accuracy/turn_1_all") == (2, 3, 1)
    assert result.metric("three_class_accuracy").failed == 2, "turn 2 has no scores"


def test_rows_that_occur_again_count_once(store):
    votes, judged = store("human.jsonl", VOTES * 2), store("pair.jsonl", [*JUDGED, JUDGED[0]])
    once = one(store("a/human.jsonl", VOTES), store("a/pair.jsonl", JUDGED))
    assert one(votes, judged).metrics == once.metrics


def test_labels_are_looked_for_beside_the_judgements(store):
    judged = store("sub/gpt4_pair.jsonl", JUDGED)
    with pytest.raises(DataError, match=r"gpt4_pair\.jsonl holds judgements only.*human\.jsonl"):
        score(judged)
    (judged.parent / "notes.txt").write_text("not data")
    (judged.parent / "broken.json").write_text("{")
    store("sub/votes_of_people.jsonl.gz", VOTES)
    assert counts(one(judged), "pairwise_accuracy") == (2, 3, 0)


def test_votes_without_a_judge_are_no_judgements(store):
    with pytest.raises(DataError, match="what people said and no judge"):
        score(store("human.jsonl", VOTES))


def test_judgements_of_other_questions_are_refused(store):
    others = [row | {"question_id": 900} for row in JUDGED]
    with pytest.raises(DataError, match="judged no"):
        score(store("human.jsonl", VOTES), store("gpt4_pair.jsonl", others))


LABELS = [
    {"idx": 0, "instruction": "Greet.", "annotator1": 1, "annotator2": 1, "annotator3": 2},
    {"idx": 1, "instruction": "Greet.", "annotator1": 2, "annotator2": 2, "annotator3": 2},
    {"idx": 2, "instruction": "Sum.", "annotator1": 0, "annotator2": 0, "annotator3": 1},
    {"idx": 3, "instruction": "Sum.", "annotator1": 0, "annotator2": 1, "annotator3": 2},
]
LABELS = [row | {"response1": "a", "response2": True} for row in LABELS]


def test_pandalm_results_against_the_majority(store):
    said = ["1", "garbage", "Tie", 0]
    rows = [{"idx": k, "my_result": value, "my_reason": ""} for k, value in enumerate(said)]
    store("testset-v1.json", LABELS)
    result = one(store("my-model-testset-v1.json", rows, encoding="utf-8-sig"))
    assert result.model == "my-model"
    assert counts(result, "three_class_accuracy") == (3, 3, 1)
    assert counts(result, "three_class_accuracy_failures_wrong") == (3, 4, 0)
    assert counts(result, "three_class_accuracy_strict") == (2, 4, 0)
    assert counts(result, "pairwise_accuracy") == (1, 1, 1)
    assert counts(result, "human_three_class_accuracy") == (1 + 3 + 1 + 0, 12, 0)


def test_missing_and_repeated_pandalm_rows(store):
    labels = store("testset-v1.json", LABELS)
    rows = [{"idx": 1, "m_result": 2}, {"idx": 1, "m_result": "garbage"}, {"idx": 0, "m_result": 1}]
    result = one(labels, store("m.json", rows))
    assert counts(result, "three_class_accuracy") == (2, 2, 2)
    with pytest.raises(DataError, match="idx 9 is not in the test set"):
        score(labels, store("n.json", [{"idx": 9, "m_result": 1}]))
    with pytest.raises(DataError, match="PandaLM's testset"):
        score(store("alone/m.json", rows))


def bar(label, first, second, **extra):
    return {
        "label": label,
        "results": [
            "an earlier step",
            {"swap = False": {"winner": first}, "swap = True": {"winner": second}, **extra},
        ],
    }


BAR = [bar(1, "1", "1"), bar(2, "2", "1"), bar(2, "1", "1"), bar(1, None, "1")]


def test_llmbar_in_both_orders(store):
    result = one(store("Natural/evaluators/GPT-4/Vanilla/result.json", BAR))
    assert result.model == "GPT-4/Vanilla on Natural"
    assert result.metric("accuracy").value == pytest.approx(3 / 6)
    assert (result.metric("accuracy").n, result.metric("accuracy").failed) == (3, 1)
    assert counts(result, "accuracy_order_1") == (2, 3, 1)
    assert counts(result, "accuracy_order_2") == (2, 4, 0)
    assert counts(result, "both_right") == (1, 3, 1)
    assert counts(result, "same_verdict") == (2, 3, 1)
    assert result.metric("accuracy_published").value == pytest.approx(4 / 8)


def test_a_result_named_from_its_own_folder_still_names_the_judge(store, monkeypatch):
    monkeypatch.chdir(store("Neighbor/evaluators/GPT-4/CoT/result.json.gz", BAR).parent)
    assert one(Path("result.json.gz")).model == "GPT-4/CoT on Neighbor"
    monkeypatch.chdir(store("judges/mine/result.json", BAR).parent)
    assert one(Path("result.json")).model == "judges/mine"


def test_a_rating_of_llmbar_that_is_no_number_is_a_failure(store):
    """The published code makes two winners up for it, one in each order, and counts them."""
    rows = [
        bar(1, "1", "1", score_1=[" 7 ", "stop"], score_2=["3", "stop"]),
        bar(1, "1", "2", score_1=["I like it", "stop"], score_2=["3", "stop"]),
        bar(1, "1", "2", score_1=["7.5", "stop"], score_2=["3", "stop"]),
    ]
    result = one(store("rating.json", rows))
    assert counts(result, "accuracy") == (1, 1, 2)
    assert counts(result, "both_right") == (1, 1, 2)
    assert result.metric("accuracy_published").value == pytest.approx(4 / 6)


def test_llmbar_results_are_held_against_their_data_set(store):
    data = [{"input": f"{k}", "output_1": "a", "output_2": "b", "label": 1} for k in range(4)]
    with pytest.raises(DataError, match="entry 2: label 2; the data set has 1"):
        score(store("dataset.json", data), store("result.json", BAR))
    with pytest.raises(DataError, match="another set"):
        score(store("dataset.json", data[:2]), store("result.json", BAR))
    unlabelled = [{"results": row["results"]} for row in BAR]
    data = [row | {"label": bar["label"]} for row, bar in zip(data, BAR, strict=True)]
    store("dataset.json", data)
    assert counts(one(store("mine.json", unlabelled)), "both_right") == (1, 3, 1)


RANKED = [
    {
        "id": "a",
        "responses": [
            {"rank": 0, "scores": [5, 4, None]},
            {"rank": 1, "score": "3"},
            {"rank": 2, "score": -1},
        ],
    },
    {"id": "b", "responses": [{"rank": 0, "score": 0}, {"rank": 1, "score": 0.0}]},
]


def test_scores_beside_ranks(store):
    result = one(store("judge-7b.jsonl", RANKED))
    assert result.model == "judge-7b"
    assert counts(result, "pairwise_accuracy") == (1, 1, 2)
    assert result.metric("tie_rate").value == 0.5, "0 is a score"
    assert counts(result, "failure_rate") == (2, 7, 0)
    assert result.metric("exact_match").failed == 1


@pytest.mark.parametrize(
    "rows",
    [
        [
            {"prompt": "p", "response": text, "rank": rank, "score": points}
            for text, rank, points in (("x", 0, 4), ("y", 1, 2), ("z", 2, None))
        ],
        [
            {"prompt": "p", "response": text, "quality_score": quality, "scores": [points]}
            for text, quality, points in (("z", 0.1, "n/a"), ("x", 0.9, 4), ("y", 0.5, 2))
        ],
    ],
    ids=["rank", "quality_score"],
)
def test_one_response_a_row(store, rows):
    result = one(store("flat.jsonl.gz", rows))
    assert counts(result, "pairwise_accuracy") == (1, 1, 2)
    assert counts(result, "failure_rate") == (1, 3, 0)


@pytest.mark.parametrize("form", ["score_{}", "{}_score"])
def test_scores_of_chosen_and_rejected(store, form):
    rows = [
        {"prompt": "p", "chosen": "a", "rejected": "b"}
        | {form.format("chosen"): better, form.format("rejected"): worse}
        for better, worse in ((9, 2), (3, 3), (4, None))
    ]
    result = one(store("pairs.json", rows))
    assert counts(result, "pairwise_accuracy") == (1, 1, 1)
    assert result.metric("five_best") is None, "points go beyond five"


def test_judges_in_one_file_are_told_apart(store):
    rows = [row | {"judge": judge} for judge in ("a", "b") for row in RANKED]
    assert [result.model for result in score(store("both.jsonl", rows))] == ["a", "b"]


def test_scores_in_a_csv_file(store):
    file = store("mine.csv", [])
    file.write_text("prompt,score_chosen,score_rejected\np,5,3\nq,2,4\nr,,4\n")
    result = one(file)
    assert (result.model, counts(result, "pairwise_accuracy")) == ("mine", (1, 2, 1))


def test_a_torn_line_is_told_with_every_figure(store):
    file = store("mine.jsonl", RANKED)
    whole = one(file)
    file.write_text(file.read_text() + '{"prompt": "p", "resp')
    torn = one(file)
    assert [m.value for m in torn.metrics] == [m.value for m in whole.metrics]
    assert all("torn last line of mine.jsonl left out" in m.note for m in torn.metrics)


def test_what_is_no_file_is_not_looked_for_elsewhere():
    with pytest.raises(DataError, match="No such file"):
        score(Path("organisation/name"))


def test_what_is_no_judgement_is_refused(store):
    with pytest.raises(DataError, match=r"the columns prompt, rank; wanted MT-Bench votes"):
        score(store("ranks.jsonl", [{"prompt": "p", "rank": 0}]))
    with pytest.raises(DataError, match="a response has no rank"):
        score(store("norank.jsonl", [{"prompt": "p", "responses": [{"score": 1}, {"score": 2}]}]))
    with pytest.raises(DataError, match="is empty"):
        score(store("empty.jsonl", []))
    half = [*VOTES, {"question_id": 81, "turn": 1, "winner": "tie", "judge": "expert_1"}]
    with pytest.raises(DataError, match="line 7: there is no model_a and no model_b"):
        score(store("human.jsonl", half), store("gpt4_pair.jsonl", JUDGED))


@pytest.mark.parametrize(
    "group, turn, with_ties, without_ties",
    [
        ("expert", 1, (886, 1343), (727, 859)),
        ("expert", 2, (871, 1325), (731, 864)),
        ("all", 1, (1125, 1689), (911, 1060)),
        ("all", 2, (1095, 1666), (912, 1069)),
        ("author", 1, (239, 346), (184, 201)),
        ("author", 2, (224, 341), (181, 205)),
    ],
)
def test_gpt4_and_the_mt_bench_voters(mt_bench, group, turn, with_ties, without_ties):
    of = f"/turn_{turn}_{group}"
    assert counts(mt_bench, f"three_class_accuracy{of}") == (*with_ties, 0)
    assert counts(mt_bench, f"pairwise_accuracy{of}") == (*without_ties, 0)


@pytest.fixture(scope="module")
def mt_bench():
    return one(shared("mt_bench/human_judgments/gpt4_pair.jsonl"))


def test_the_mt_bench_experts_with_each_other(mt_bench):
    assert counts(mt_bench, "human_pairwise_accuracy/turn_1_expert") == (388, 479, 0)
    assert counts(mt_bench, "human_pairwise_accuracy/turn_2_expert") == (388, 474, 0)
    assert counts(mt_bench, "human_three_class_accuracy/turn_1_expert") == (454, 721, 0)
    assert counts(mt_bench, "human_three_class_accuracy/turn_2_expert") == (471, 707, 0)
    assert "3355 human votes on 1814 pairs" in mt_bench.description


def test_the_published_models_on_pandalm():
    results = {
        result.model: result
        for result in score(
            shared("preferences/pandalm/gpt-3.5-turbo-testset-v1.json"),
            shared("preferences/pandalm/pandalm-7b-testset-v1.json"),
        )
    }
    gpt, pandalm = results["gpt-3.5-turbo"], results["pandalm-7b"]
    assert counts(gpt, "three_class_accuracy_strict") == (692, 999, 0)
    assert counts(gpt, "three_class_accuracy_failures_wrong") == (697, 999, 0)
    assert counts(gpt, "three_class_accuracy") == (697, 974, 25)
    assert counts(pandalm, "three_class_accuracy") == (667, 999, 0)
    assert gpt.metric("human_three_class_accuracy").value == pytest.approx(0.9199, abs=5e-5)


@pytest.mark.parametrize("evaluator", ["Vanilla", "Rating"])
def test_the_published_statistics_of_llmbar(evaluator):
    name = f"preferences/llmbar/LLMBar_Natural__GPT-4_{evaluator}_NoRules"
    result = one(shared(f"{name}.json"))
    published = json.loads(shared(f"{name}__expected_stats.json").read_text())
    names = {
        "accuracy_order_1": "correct_False",
        "accuracy_order_2": "correct_True",
        "accuracy": "correct_average",
        "accuracy_published": "correct_average",
        "both_right": "correct_both",
        "same_verdict": "equal",
    }
    for ours, theirs in names.items():
        per_cent = float(published[theirs].rpartition("= ")[2].rstrip("%"))
        assert 100 * result.metric(ours).value == pytest.approx(per_cent, abs=1e-9)
