import gzip
import json
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.head_to_head.evaluation import HeadToHead
from harness.engines.scripted import Scripted
from harness.errors import DataError
from harness.microworld.engine import ExaminerEngine
from harness.records import EvalResult, Failure, ModelRef, Score
from harness.rows import RowLog
from tests.shared_data import shared

M0 = ModelRef(name="M0", location="M0")
SFT = ModelRef(name="SFT", location="SFT", parent="M0")
M1 = ModelRef(name="M1", location="M1", parent="M0")
M2 = ModelRef(name="M2", location="M2", parent="M1")
PROMPTS = [{"id": f"p{k}", "prompt": f"Say {k}."} for k in range(6)]


def said_by(name):
    return lambda prompt, index: f"{prompt} So says {name}."


def first_is_better(prompt, index):
    return "Better: A"


def longer_is_better(prompt, index):
    _, _, outputs = prompt.partition("Answer A: ")
    a, _, b = outputs.partition(" Answer B: ")
    return f"Better: {'tie' if len(a) == len(b) else 'A' if len(a) > len(b) else 'B'}"


def asking(**options):
    """By default in the words that these tests' judges read."""
    return HeadToHead.Config(**{"rubric": "microworld_compare"} | options)


@pytest.fixture
def duel(jsonl, fake, log):
    """Answer and mark one model after another, as a run does."""
    evaluation = HeadToHead(asking(data=jsonl("prompts.jsonl", PROMPTS)))

    def play(judge_reply, *players, evaluation=evaluation):
        results = []
        for model, reply in players:
            rows = log(f"{model.name} {len(results)}")
            evaluation.answer(fake(reply, name=model.name), rows)
            judge = fake(judge_reply, name="judge")
            results.append(evaluation.mark(model, rows, judge, list(results)))
        return results

    play.evaluation = evaluation
    return play


@pytest.mark.parametrize(
    ("own_first", "own_second", "value", "consistency"),
    [
        ("A", "B", 1.0, 1.0),
        ("B", "A", 0.0, 1.0),
        ("tie", "tie", 0.5, 1.0),
        ("A", "A", 0.5, 0.0),
        ("B", "B", 0.5, 0.0),
        ("A", "tie", 0.5, 0.0),
        ("tie", "A", 0.5, 0.0),
    ],
)
def test_only_a_preference_that_survives_the_swap_counts(
    duel, own_first, own_second, value, consistency
):
    def judge(prompt, index):
        own_is_first = prompt.index("So says M1") < prompt.index("So says M0")
        return f"Better: {own_first if own_is_first else own_second}"

    _, result = duel(judge, (M0, said_by("M0")), (M1, said_by("M1")))
    assert {item.outcome for item in result.items} == {Score(value=value)}
    name = {1.0: "win", 0.5: "tie", 0.0: "loss"}[value]
    shares = {n: result.metric(n, "M0").value for n in ("win", "tie", "loss")}
    assert shares == {"win": 0.0, "tie": 0.0, "loss": 0.0} | {name: 1.0}
    assert result.metric("net_win", "M0").value == 2 * value - 1
    assert result.metric("position_consistency", "M0").value == consistency
    assert result.metric("win", "M0").n == 6


@pytest.mark.parametrize("unreadable", ["both are fine", None, Failure(reason="api_error")])
@pytest.mark.parametrize("own_first", [True, False])
def test_one_unreadable_order_fails_the_item(duel, unreadable, own_first):
    def judge(prompt, index):
        if "Say 3." in prompt:
            own_is_first = prompt.index("So says M1") < prompt.index("So says M0")
            return unreadable if own_is_first == own_first else "Better: A"
        return "Better: tie"

    _, result = duel(judge, (M0, said_by("M0")), (M1, said_by("M1")))
    failed = {item.id: item for item in result.items if isinstance(item.outcome, Failure)}
    assert list(failed) == ["p3"]
    for name in ("win", "tie", "loss", "net_win", "position_consistency"):
        metric = result.metric(name, "M0")
        assert (metric.n, metric.failed) == (5, 1)
    assert len(failed["p3"].details["verdicts"]) == 2


def test_a_note_says_what_is_not_the_papers(duel):
    _, result = duel(longer_is_better, (M0, said_by("M0")), (M1, said_by("M1")))
    notes = {metric.name: metric.note for metric in result.metrics}
    assert notes.pop("identical") == "", "which no judge is asked about"
    [note] = set(notes.values())
    assert note == (
        "judged by judge, the paper's figures by GPT-4; the judge is asked by the rubric "
        "microworld_compare, not by AlpacaEval's prompt"
    )


def test_who_meets_whom(duel):
    players = [(one, said_by(one.name)) for one in (M0, SFT, M1, M2)]
    results = duel(first_is_better, *players)
    met = [list(dict.fromkeys(item.against for item in result.items)) for result in results]
    assert met == [[], ["M0"], ["M0", "SFT"], ["M1", "SFT"]]
    assert [len(result.items) for result in results] == [0, 6, 12, 12]


def test_an_opponent_that_is_named_or_missing(jsonl, duel):
    config = asking(data=jsonl("prompts.jsonl", PROMPTS), against=["M0", "previous"])
    players = [(one, said_by(one.name)) for one in (M0, M1)]
    *_, result = duel(first_is_better, *players, evaluation=HeadToHead(config))
    assert [item.against for item in result.items] == ["M0"] * 6
    stranger = M2.model_copy(update={"parent": "not measured"})
    [alone] = duel(first_is_better, (stranger, said_by("M2")))
    assert alone.items == alone.metrics == ()


def test_the_first_model_has_no_opponent_and_keeps_its_answers(duel):
    [result] = duel(first_is_better, (M0, said_by("M0")))
    assert result.metrics == ()
    assert result.answers["p4"] == "Say 4. So says M0."
    assert EvalResult.model_validate_json(result.model_dump_json()) == result


def test_items_pair_up_across_models(duel):
    results = duel(first_is_better, *[(one, said_by(one.name)) for one in (M0, M1, M2)])
    assert [item.id for item in results[1].items] == [item.id for item in results[2].items]
    assert results[1].items[0].details["opponent_answer"] == results[0].answers["p0"]


def test_both_verdicts_are_shown_from_the_models_side_with_their_order(duel):
    _, result = duel(first_is_better, (M0, said_by("M0")), (M1, said_by("M1")))
    assert result.items[0].details["verdicts"] == [
        {"text": "Better: A", "value": 1.0, "order": "own answer first"},
        {"text": "Better: A", "value": 0.0, "order": "own answer second"},
    ]


def test_identical_answers_tie_without_being_asked(duel, fake, log):
    def mostly_the_same(prompt, index):
        return "longer than that" if prompt == "Say 2." else "same"

    [before] = duel(longer_is_better, (M0, lambda prompt, index: "same"))
    rows, judge = log("M1 rows"), fake(longer_is_better)
    duel.evaluation.answer(fake(mostly_the_same), rows)
    result = duel.evaluation.mark(M1, rows, judge, [before])
    assert len(judge.asked) == 2
    assert result.metric("tie", "M0").value == pytest.approx(5 / 6)
    assert result.metric("identical", "M0").value == pytest.approx(5 / 6)
    consistency = result.metric("position_consistency", "M0")
    assert (consistency.value, consistency.n, consistency.failed) == (1.0, 1, 0)


def test_an_answer_that_failed_fails_its_item_for_both_models(duel):
    def failing(on, name):
        failure = Failure(reason="prompt_too_long")
        return lambda prompt, index: failure if prompt == on else said_by(name)(prompt, index)

    before, result = duel(
        longer_is_better, (M0, failing("Say 5.", "M0")), (M1, failing("Say 1.", "M1, at length"))
    )
    assert "p5" not in before.answers
    assert result.failures == {"opponent_failed": 1, "prompt_too_long": 1}
    assert (result.metric("win", "M0").n, result.metric("win", "M0").failed) == (4, 2)


def test_a_truncated_answer_is_compared_and_marked_so(duel):
    _, result = duel(longer_is_better, (M0, said_by("M0")), (M1, lambda prompt, index: None))
    assert result.metric("loss", "M0").value == 1.0
    assert all(item.details["truncated"] for item in result.items)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(lengths=st.lists(st.integers(1, 3), min_size=6, max_size=6), rival=st.integers(1, 3))
def test_my_win_is_your_loss(jsonl, fake, tmp_path_factory, lengths, rival):
    evaluation = HeadToHead(asking(data=jsonl("prompts.jsonl", PROMPTS)))

    def own(prompt, index):
        return "x" * lengths[int(prompt[4])]

    def other(prompt, index):
        return "y" * rival

    def net(first, second):
        folder, earlier = tmp_path_factory.mktemp("logs"), []
        for model, reply in ((M0, first), (M1, second)):
            with RowLog(folder / model.name) as rows:
                evaluation.answer(fake(reply), rows)
                earlier.append(evaluation.mark(model, rows, fake(longer_is_better), earlier[:]))
        return earlier[-1].metric("net_win", "M0").value

    assert net(own, other) == -net(other, own)
    assert net(other, own) == sum((n > rival) - (n < rival) for n in lengths) / 6


def test_only_what_is_missing_is_asked_again(duel, fake, log, killed):
    [before] = duel(first_is_better, (M0, said_by("M0")))
    evaluation = duel.evaluation
    whole, torn = log("whole"), log("torn")
    evaluation.answer(fake(said_by("M1")), whole)
    expected = evaluation.mark(M1, whole, fake(longer_is_better), [before])

    with pytest.raises(killed):
        evaluation.answer(fake(said_by("M1"), killed_after=2), torn)
    resumed = fake(said_by("M1"))
    evaluation.answer(resumed, torn)
    assert len(resumed.asked) == 4
    with pytest.raises(killed):
        evaluation.mark(M1, torn, fake(longer_is_better, killed_after=5), [before])
    judge = fake(longer_is_better)
    assert evaluation.mark(M1, torn, judge, [before]) == expected
    assert len(judge.asked) == 12 - 5
    assert dict(torn) == dict(whole)


def test_the_judge_is_asked_greedily_in_both_orders(duel, fake, log):
    [before] = duel(first_is_better, (M0, said_by("M0")))
    rows, judge = log("rows"), fake(first_is_better)
    duel.evaluation.answer(fake(said_by("M1")), rows)
    duel.evaluation.mark(M1, rows, judge, [before])
    assert {sampling.temperature for sampling in judge.samplings} == {0}
    texts = sorted(text for _, text in judge.asked if "Question: Say 0." in text)
    assert ["Answer A: Say 0. So says M0. Answer B: Say 0. So says M1." in t for t in texts] == [
        True,
        False,
    ]


def test_the_protocol_names_the_judge_but_not_the_model(duel, fake, log):
    def protocol(model, judge):
        rows = log(f"{model} by {judge}")
        duel.evaluation.answer(fake(said_by(model), name=model), rows)
        ref = ModelRef(name=model, location=model)
        return duel.evaluation.mark(ref, rows, fake(first_is_better, name=judge), []).protocol

    assert protocol("M1", "judge") == protocol("M2", "judge")
    assert protocol("M1", "judge") != protocol("M1 again", "another judge")


def test_the_exact_examiner_referees(jsonl, fake, log):
    prompts = jsonl("q.jsonl", [{"id": "dog", "prompt": "What sound does the dog make?"}])
    evaluation = HeadToHead(asking(data=prompts))
    results = []
    with ExaminerEngine(ExaminerEngine.Config()).open(
        ModelRef(name="judge", location="examiner")
    ) as examiner:
        for model, text in ((M0, "It moos."), (M1, "The dog barks.")):
            rows = log(model.name)
            evaluation.answer(fake(lambda prompt, index, text=text: text), rows)
            results.append(evaluation.mark(model, rows, examiner, results[:]))
    assert results[1].metric("win", "M0").value == 1.0
    assert "judged in both orders by examiner (exact)" in results[1].description


def test_without_data_nothing_runs(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        HeadToHead(asking(data=str(tmp_path / "nowhere.jsonl")))


def test_all_gives_every_pair_of_the_run(jsonl, duel):
    config = asking(data=jsonl("prompts.jsonl", PROMPTS), against="all")
    players = [(one, said_by(one.name)) for one in (M0, SFT, M1, M2)]
    results = duel(first_is_better, *players, evaluation=HeadToHead(config))
    met = [list(dict.fromkeys(item.against for item in result.items)) for result in results]
    assert met == [[], ["M0"], ["M0", "SFT"], ["M0", "SFT", "M1"]]
    assert config.against == ("all",)


OUTPUTS = {
    "alpaca_eval.json": [
        {"instruction": f" say {k}. ", "output": "x" * k, "generator": "gpt", "dataset": "d"}
        for k in range(5)
    ],
    "answer_bard.jsonl": [
        {"question_id": f"p{k}", "text": "x" * k, "answer_id": k, "model_id": "gpt"}
        for k in range(5)
    ],
    "gpt.jsonl": [
        {"question_id": f"p{k}", "model_id": "gpt", "choices": [{"turns": ["x" * k, "more"]}]}
        for k in range(5)
    ],
    "plain/gpt.jsonl.gz": [{"prompt": f"Say {k}.", "response": "x" * k} for k in range(5)],
    "by_id/gpt.jsonl": [{"id": f"p{k}", "response": "x" * k} for k in range(5)],
}


@pytest.fixture
def outputs(tmp_path):
    def write(name, rows):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        lines = [json.dumps(row) for row in rows]
        data = json.dumps(rows) if name.endswith(".json") else "\n".join(lines)
        path.write_bytes(
            gzip.compress(data.encode()) if name.endswith(".gz") else data.encode("utf-8")
        )
        return str(path)

    return write


@pytest.fixture
def against(jsonl, fake, log):
    """Measure M1, which says two letters, against what is stored."""
    number = count()

    def play(*names, data=PROMPTS):
        config = asking(data=jsonl("prompts.jsonl", data), against=names)
        evaluation, rows = HeadToHead(config), log(str(next(number)))
        evaluation.answer(fake(lambda prompt, index: "xx"), rows)
        return evaluation.mark(M1, rows, fake(longer_is_better), [])

    return play


@pytest.mark.parametrize("name", OUTPUTS)
def test_stored_answers_are_opponents(against, outputs, name):
    result = against(outputs(name, OUTPUTS[name]))
    counted = {n: result.metric(n, "gpt").value for n in ("win", "tie", "loss", "identical")}
    assert counted == {"win": 0.4, "tie": 0.2, "loss": 0.4, "identical": 0.2}, "empty ones lose"
    assert (result.metric("win", "gpt").n, result.metric("win", "gpt").failed) == (5, 1)
    assert result.failures == {"opponent_failed": 1}
    assert [item.details["opponent_answer"] for item in result.items[:2]] == ["", "x"]


def test_the_protocol_knows_what_was_stored(against, outputs):
    rows = OUTPUTS["gpt.jsonl"]
    first = against(outputs("gpt.jsonl", rows)).protocol
    assert against(outputs("again/gpt.jsonl", rows)).protocol == first
    assert against(outputs("gpt.jsonl", rows[:4])).protocol != first
    assert against().protocol != first


def test_stored_answers_stand_beside_the_models_of_the_run(jsonl, outputs, fake, log):
    names = ("previous", outputs("gpt.jsonl", OUTPUTS["gpt.jsonl"]))
    config = asking(data=jsonl("prompts.jsonl", PROMPTS), against=names)
    evaluation, results = HeadToHead(config), []
    for model in (M0, M1):
        rows = log(model.name)
        evaluation.answer(fake(said_by(model.name)), rows)
        results.append(evaluation.mark(model, rows, fake(longer_is_better), results[:]))
    met = [list(dict.fromkeys(item.against for item in result.items)) for result in results]
    assert met == [["gpt"], ["M0", "gpt"]]
    assert "p5" in results[0].answers


def test_another_runs_model_of_the_same_name_is_told_apart(against, outputs):
    rows = [row | {"generator": "M1"} for row in OUTPUTS["alpaca_eval.json"]]
    result = against(outputs("other_run.json", rows))
    assert {item.against for item in result.items} == {"M1 of other_run"}


def test_stored_answers_are_checked_before_anything_runs(against, outputs, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        against(str(tmp_path / "nowhere.jsonl"))
    others = [{"instruction": "Sing.", "output": "La."}]
    with pytest.raises(DataError, match="has 1 answers, and none to any of the 6 prompts"):
        against(outputs("others.json", others))
    twice = [{"prompt": "Say 1.", "response": text} for text in ("one", "two")]
    with pytest.raises(DataError, match=r"line 2: a second answer"):
        against(outputs("twice.jsonl", twice))
    same = [{"prompt": "Say 1.", "response": "one"}] * 2
    assert against(outputs("same.jsonl", same)).metric("win", "same").n == 1
    with pytest.raises(DataError, match="holds no answers"):
        against(outputs("empty.jsonl", []))


def test_an_answer_to_the_instruction_with_its_input(against, outputs):
    rows = [
        {"instruction": "Add.", "input": "1 and 1", "output": "long enough", "generator": "gpt"}
    ]
    result = against(outputs("gpt.json", rows), data=[{"instruction": "Add.", "input": "1 and 1"}])
    assert result.metric("loss", "gpt").value == 1.0


def test_the_description_says_where_the_prompts_are_from(jsonl, fake, log):
    def described(**options):
        config = asking(data=jsonl("prompts.jsonl", PROMPTS), **options)
        evaluation, rows = HeadToHead(config), log(str(options))
        evaluation.answer(fake(said_by("M1")), rows)
        return evaluation.mark(M1, rows, fake(first_is_better), []).description

    assert "6 prompts of /" in described()
    assert "prompts.jsonl, answers T=0.7" in described()
    drawn = described(limit=4)
    assert drawn.startswith("4 prompts of")
    assert "(drawn at random, seed 0, from 6)" in drawn


def test_the_published_prompt_of_alpaca_eval(jsonl, fake, log):
    """GPT-4's ranking is read by its own format, and it is asked greedily for 100 tokens."""
    asked = []

    def judge(ref, request, index):
        mine = request.prompt[-1].content.index("So says M1")
        first = mine < request.prompt[-1].content.index("So says M0")
        ranks = (1, 2) if first else (2, 1)
        return str([{"model": f"model_{k}", "rank": r} for k, r in zip((1, 2), ranks, strict=True)])

    rubric = "alpaca_eval:alpaca_eval_gpt4/alpaca_eval.txt"
    data = jsonl("prompts.jsonl", PROMPTS)
    config = asking(data=data, rubric=rubric, judge_max_tokens=100)
    evaluation, results = HeadToHead(config), []
    engine = Scripted(Scripted.Config(), reply=judge)
    with engine.open(ModelRef(name="gpt-4", location="gpt-4")) as loaded:
        generate = loaded.generate
        loaded.generate = lambda requests: generate(asked.extend(r := list(requests)) or r)
        for model in (M0, M1):
            rows = log(model.name)
            evaluation.answer(fake(said_by(model.name)), rows)
            results.append(evaluation.mark(model, rows, loaded, results[:]))
    assert results[1].metric("win", "M0").value == 1.0
    assert {(r.sampling.temperature, r.sampling.max_tokens) for r in asked} == {(0, 100)}
    assert [message.role for message in asked[0].prompt] == ["system", "user"]
    assert "alpaca_eval@" in results[1].description
    assert results[1].judge.startswith("gpt-4 (")
    assert "), alpaca_eval@" in results[1].judge
    assert {metric.note for metric in results[1].metrics} == {""}, "as the paper has it"


def test_real_answers_meet_on_real_questions(fake, log):
    folder = "head_to_head/vicuna_blog"
    files = [str(shared(f"{folder}/answer_{name}.jsonl")) for name in ("bard", "vicuna-13b")]
    data = str(shared(f"{folder}/question.jsonl"))
    evaluation = HeadToHead(asking(data=data, against=files))
    rows = log()
    evaluation.answer(fake(lambda prompt, index: "Well."), rows)
    result = evaluation.mark(M1, rows, fake(longer_is_better), [])
    assert result.metric("loss", "bard:20230327").n == 80
    assert result.metric("loss", "vicuna-13b:20230322-clean-lang").n == 80
    assert "80 prompts of" in result.description


def test_questions_of_other_worlds_are_compared_in_other_words(jsonl):
    prompts = jsonl("prompts.jsonl", PROMPTS)
    assert HeadToHead.Config().rubric == "microworld_compare"
    assert HeadToHead.Config(data=prompts).rubric == "compare"
    assert HeadToHead.Config(data=prompts, rubric="mine.txt").rubric == "mine.txt"
