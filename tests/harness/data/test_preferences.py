"""Published sets of human preferences are read as ranked groups, ties and votes included."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import datasets
from harness.data.preferences import TIE, majority
from harness.errors import DataError
from tests.shared_data import shared


@pytest.fixture
def write(tmp_path):
    def write(name, rows):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(lines if name.endswith(".jsonl") else json.dumps(rows))
        return str(path)

    return write


def ranked(source):
    return [
        (group.prompt, [(one.text, one.rank) for one in group.responses])
        for group in datasets.ranked_groups(source).rows
    ]


@given(st.lists(st.sampled_from("abc"), max_size=7))
def test_the_majority_leads_or_it_is_a_tie(votes):
    counted = {vote: votes.count(vote) for vote in votes}
    leading = [v for v, n in counted.items() if n == max(counted.values())]
    assert majority(votes) == (leading[0] if len(leading) == 1 else TIE)


def annotated(idx, votes, one="a", other="b", given=""):
    row = {"idx": idx, "instruction": "Greet.", "input": given, "response1": one}
    row |= {"response2": other, "cmp_key": "x_y"}
    return row | {f"annotator{k + 1}": vote for k, vote in enumerate(votes)}


def test_pandalm_by_majority(write):
    rows = [
        annotated(0, (2, 2, 1)),
        annotated(1, (1, 1, 1), other=True, given="Bob"),
        annotated(2, (0, 0, 2)),
        annotated(3, (0, 1, 2)),
        annotated(4, (2, 2, 1)),
    ]
    source = write("testset.json", rows)
    assert ranked(source) == [
        ("Greet.", [("b", 0), ("a", 1)]),
        ("Greet.\n\nBob", [("a", 0), ("True", 1)]),
        ("Greet.", [("a", 0), ("b", 0)]),
        ("Greet.", [("a", 0), ("b", 0)]),
        ("Greet.", [("b", 0), ("a", 1)]),  # judged again, and counted again
    ]
    loaded = datasets.ranked_groups(source)
    assert [group.id for group in loaded.rows] == ["0", "1", "2", "3", "4"]
    assert (loaded.read, sum(group.pairs for group in loaded.rows)) == (10, 3)
    assert set(datasets.texts(source)) == {"Greet.", "Greet.\n\nBob", "a", "b", "True"}


def test_llmbar_by_label(write):
    rows = [
        {"input": "Greet.", "output_1": "a", "output_2": "b", "label": label}
        for label in (1, 2, "2")
    ]
    source = write("dataset.json", rows)
    assert [answers[0][0] for _, answers in ranked(source)] == ["a", "b", "b"]
    assert datasets.held_out(source)("greet.")


@pytest.mark.parametrize("label", [0, 3, None, "first", 1.5])
def test_a_label_that_is_none_is_refused(write, label):
    row = {"input": "Greet.", "output_1": "a", "output_2": "b", "label": label}
    with pytest.raises(DataError, match=r"entry 1: 'label' is .*; wanted one of 1, 2"):
        ranked(write("dataset.json", [row]))


def test_two_sets_keep_all_their_rows(write):
    bar = [{"input": "Greet.", "output_1": "a", "output_2": "b", "label": 1}]
    sources = [write("bar.json", bar), write("panda.json", [annotated(0, (1, 1, 1))])]
    groups = datasets.ranked_groups(sources).rows
    assert len(groups) == 2
    assert len({group.id for group in groups}) == 2


def vote(question, turn, winner, judge, a="x", b="y"):
    row = {"question_id": question, "turn": turn, "model_a": a, "model_b": b, "winner": winner}
    return row | {"judge": judge}


def talk(*turns):
    roles = ("user", "assistant") * 2
    return [{"role": r, "content": turn} for r, turn in zip(roles, turns, strict=False)]


def test_mt_bench_votes_by_majority_of_each_pair(write):
    x, y = talk("q1", "x1", "q2", "x2"), talk("q1", "y1", "q2", "y2")
    rows = [
        vote(81, 1, "model_a", "expert_1"),
        vote(81, 1, "model_a", "expert_2"),
        vote(81, 1, "tie", "author_1"),
        vote(81, 2, "model_b", "expert_1"),
        vote(82, 1, "model_a", "expert_1"),
    ]
    rows = [row | {"conversation_a": x, "conversation_b": y} for row in rows]
    swapped = vote(82, 1, "model_a", "expert_2", a="y", b="x")
    rows.append(swapped | {"conversation_a": y, "conversation_b": x})
    source = write("votes.jsonl", rows)
    assert ranked(source) == [
        ("q1", [("x1", 0), ("y1", 1)]),
        (
            "First request:\nq1\n\nSecond request:\nq2",
            [
                ("First answer:\ny1\n\nSecond answer:\ny2", 0),
                ("First answer:\nx1\n\nSecond answer:\nx2", 1),
            ],
        ),
        ("q1", [("x1", 0), ("y1", 0)]),
    ]
    assert [g.id for g in datasets.ranked_groups(source).rows] == [
        "81/1/x/y",
        "81/2/x/y",
        "82/1/x/y",
    ]
    assert set(datasets.texts(source)) == {"q1", "q2", "x1", "x2", "y1", "y2"}


def test_votes_without_conversations_take_them_from_fastchats_files(write):
    votes = [vote(81, 1, "model_a", "expert_1"), vote(81, 2, "model_b", "expert_1", b="z")]
    source = write("human_judgments/human.jsonl", votes)
    with pytest.raises(DataError, match=r"without the conversations.*model_answer/"):
        ranked(source)
    write("question.jsonl", [{"question_id": 81, "category": "c", "turns": ["q1", "q2"]}])
    for model in "xy":
        answer = {"question_id": 81, "model_id": model, "choices": [{"turns": [f"{model}1"]}]}
        write(f"model_answer/{model}.jsonl", [answer])
    assert ranked(source) == [("q1", [("x1", 0), ("y1", 1)])]
    assert datasets.ranked_groups(source).dropped == {"no_answer": 2}


@pytest.mark.parametrize("wrong", [{"turn": 3}, {"winner": None}])
def test_what_is_no_vote_is_refused(write, wrong):
    row = vote(81, 1, "model_a", "expert_1") | {"conversation_a": [], "conversation_b": []}
    with pytest.raises(DataError, match=r"line 1: .* is no vote"):
        ranked(write("votes.jsonl", [row | wrong]))


def test_whole_lists(write):
    rows = [
        {"prompt": "p", "responses": [{"text": "b", "rank": 1}, {"text": "a", "rank": 0}]},
        {
            "id": 7,
            "prompt": "q",
            "responses": [{"text": f"{k}", "score": score} for k, score in enumerate((3, 5, 3))],
        },
        {"prompt": "r", "responses": [{"text": "a", "rank": 0}, {"text": "b", "rank": None}]},
        {
            "prompt": talk("Hi", "Hello", "Who?"),
            "responses": [{"text": "a", "rank": 0}, {"text": "b", "rank": 1}],
        },
    ]
    source = write("lists.jsonl", rows)
    assert ranked(source) == [
        ("p", [("a", 0), ("b", 1)]),
        ("q", [("1", 0), ("0", 1), ("2", 1)]),
        ("Who?", [("a", 0), ("b", 1)]),
    ]
    loaded = datasets.ranked_groups(source)
    assert [group.history for group in loaded.rows] == [(), (), ("Hi", "Hello")]
    assert loaded.rows[1].id == "7"
    assert loaded.dropped == {"no_rank": 1, "single_reply": 1}
    assert loaded.read == sum(len(g.responses) for g in loaded.rows) + sum(loaded.dropped.values())


def test_a_list_that_is_none_is_refused(write):
    for responses, said in (([{"rank": 0}], "has no text"), (["a", "b"], "list of objects")):
        with pytest.raises(DataError, match=said):
            ranked(write("lists.jsonl", [{"prompt": "p", "responses": responses}]))
    with pytest.raises(DataError, match="the prompt is '5', not a text"):
        ranked(write("lists.jsonl", [{"prompt": 5, "responses": [{"text": "a", "rank": 0}]}]))


@pytest.mark.parametrize(
    "row",
    [
        {"question_id": 1, "category": "generic", "text": "Why?"},
        {"question_id": 1, "category": "math", "turns": ["Why?", "And then?"], "reference": ["a"]},
    ],
)
def test_questions_of_fastchat_are_prompts(write, row):
    source = write("question.jsonl", [row])
    [prompt] = datasets.prompts(source).rows
    assert (prompt.id, prompt.prompt, prompt.category) == ("1", "Why?", row["category"])
    assert datasets.texts(source) == row.get("turns", ["Why?"])
    with pytest.raises(DataError, match="question 1 is there twice"):
        datasets.prompts(write("twice.jsonl", [row, row]))
    with pytest.raises(DataError, match="has no text"):
        datasets.prompts(write("empty.jsonl", [row | {"text": " ", "turns": [" "]}]))


def test_the_published_sets():
    panda = datasets.ranked_groups(str(shared("preferences/pandalm/testset-v1.json"))).rows
    ties = sum(group.pairs == 0 for group in panda)
    assert (len(panda), ties) == (999, 105)
    bar = datasets.ranked_groups(str(shared("preferences/llmbar/LLMBar_Natural.json"))).rows
    assert sum(group.pairs for group in bar) == 100
    votes = datasets.ranked_groups(str(shared("mt_bench/human_judgments/human.jsonl")))
    assert votes.read == 2 * 1814
    assert 2 * len(votes.rows) + votes.dropped["no_answer"] == 2 * 1814
