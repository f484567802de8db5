import re
import subprocess
import sys

import pytest
from pydantic import ValidationError

from evals.nlp_benchmarks.benchmarks import BENCHMARKS, METRICS, NAMES
from evals.nlp_benchmarks.data import read
from evals.nlp_benchmarks.settings import Settings
from harness.errors import ConfigError, StoreError
from harness.protocols import Message
from harness.records import EvalResult, Failure

GENERATED = ("gsm8k", "nq")
CHOSEN = tuple(name for name in NAMES if name not in GENERATED)

QUESTIONS = {
    "hellaswag": lambda row: row["ctx_a"],
    "siqa": lambda row: row["context"],
    "piqa": lambda row: row["goal"],
    "gsm8k": lambda row: f"Question: {row['question']}\nAnswer:",
    "mmlu": lambda row: f"{row['question']}\nA. {row['choices'][0]}\n",
    "obqa": lambda row: row["question_stem"],
    "nq": lambda row: f"Q: {row['question']}?\nA:",
}
ANSWERS = {
    "hellaswag": lambda row: row["endings"][int(row["label"])],
    "siqa": lambda row: row["answer" + "ABC"[int(row["label"]) - 1]],
    "piqa": lambda row: row[f"sol{row['label'] + 1}"],
    "gsm8k": lambda row: row["answer"],
    "mmlu": lambda row: "ABCD"[row["answer"]],
    "nq": lambda row: f"{row['answer'][0]}\nQ: And",
}


def right_answers(name):
    """A script that gives the right answer to every question of a benchmark."""
    question = QUESTIONS.get(name, lambda row: row["question"])
    answer = ANSWERS.get(name, lambda row: row["choices"]["text"]["ABCD".index(row["answerKey"])])
    rows = read("microworld", name, 0).evaluated
    return {re.escape(question(row)): f" {answer(row)}" for row in rows}


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_are_right_and_others_wrong(name, scripted, log, result) -> None:
    alone = {"benchmarks": [name], "shots": {name: 0}}
    knows = result(scripted(replies=right_answers(name)), log("knows"), **alone)
    assert (knows.metric(name).value, knows.metric(name).failed) == (1.0, 0)
    assert knows.metric(name).n == len(knows.items) == (15 if name == "mmlu" else 3)
    rambles = result(scripted(default="Zounds!"), log("rambles"), **alone)
    assert rambles.metric(name).value < 1.0
    assert [item.id for item in rambles.items] == [item.id for item in knows.items]
    assert {item.category for item in knows.items} == {name}
    assert rambles.protocol == knows.protocol


def test_every_metric_is_there_with_its_interval_and_count(result) -> None:
    found = result()
    names = [metric.name for metric in found.metrics]
    assert names[:10] == [*NAMES, "mean"]
    assert names[10:] == [
        f"{name}/{METRICS[key]}" for name in NAMES for key in BENCHMARKS[name].metrics
    ]
    assert {"arc_easy/acc", "obqa/acc_norm", "gsm8k/exact_match_strict"} < set(names)
    for metric in found.metrics:
        assert metric.low <= metric.value <= metric.high
        assert metric.failed == 0
    shares = [found.metric(name).value for name in NAMES]
    assert found.metric("mean").value == pytest.approx(sum(shares) / 9)
    assert found.metric("mean").n == len(found.items) == 8 * 3 + 15
    for name, key in (("arc_easy", "acc"), ("obqa", "acc_norm"), ("gsm8k", "exact_match_strict")):
        assert found.metric(name).value == found.metric(f"{name}/{key}").value
    assert found.metric("hellaswag").note.startswith("acc_norm, 0-shot; the first 3 items")
    assert EvalResult.model_validate_json(found.model_dump_json()) == found


def test_each_headline_is_the_mean_of_its_items(result) -> None:
    found = result(limit=20)
    for name in NAMES:
        values = [item.outcome.value for item in found.items if item.category == name]
        assert found.metric(name).value == pytest.approx(sum(values) / len(values))


def test_the_mean_is_of_all_nine_or_not_at_all(result) -> None:
    assert result(benchmarks=CHOSEN).metric("mean") is None


def test_answers_are_choices_and_texts(result, scripted, log) -> None:
    found = result(scripted(default=" B"), log("mmlu"), benchmarks=["mmlu"])
    assert {item.answer for item in found.items} == {"B"}
    assert found.items[0].id == "mmlu/elementary_mathematics/0"
    found = result(scripted(default=" 12, or 13\n"), log("nq"), benchmarks=["nq"])
    assert [(item.id, item.answer) for item in found.items] == [
        ("nq/0", " 12"),
        ("nq/1", " 12"),
        ("nq/2", " 12"),
    ]


def test_a_normalised_answer_is_the_likeliest_by_character(result, jsonl, tmp_path) -> None:
    choices = {"text": ["no", "not at all, my friend"], "label": ["A", "B"]}
    row = {"question_stem": "Is it?", "choices": choices, "answerKey": "B"}
    jsonl("openbookqa_test.jsonl", [row])
    found = result(benchmarks=["obqa"], data=str(tmp_path))
    # To the script every byte of both is as unlikely, and there are more in the longer one; but
    # the space before it counts for less there.
    assert [found.metric(f"obqa/{key}").value for key in ("acc", "acc_norm")] == [0.0, 1.0]
    assert found.items[0].answer == "not at all, my friend"


def test_presets_and_single_shots() -> None:
    leaderboard = Settings(preset="open_llm_leaderboard", shots={"nq": 3})
    assert [leaderboard.shots_of(name) for name in NAMES] == [0, 25, 10, 0, 0, 5, 5, 0, 3]
    assert [Settings().shots_of(name) for name in NAMES] == [0, 0, 0, 0, 0, 8, 5, 0, 5]
    for wrong in ({"shots": {"arc": 5}}, {"shots": {"nq": -1}}, {"preset": "llama3"}):
        with pytest.raises(ValidationError):
            Settings(**wrong)
    for wrong in ((), ("nq", "nq"), ("squad",)):
        with pytest.raises(ValidationError):
            Settings(benchmarks=wrong)


@pytest.mark.parametrize("shots", [0, 1, 4])
def test_as_many_examples_as_asked_for_are_shown(shots, evaluation, scripted, log) -> None:
    names = ["arc_easy", "mmlu", "nq", "gsm8k"]
    built = evaluation(benchmarks=names, limit=1, shots=dict.fromkeys(names, shots))
    prompts = []
    model = scripted()

    def listening(verb):
        def asked(requests):
            requests = list(requests)
            prompts.extend(request.prompt for request in requests)
            return verb(requests)

        return asked

    model.generate = listening(model.generate)
    model.loglikelihood = listening(model.loglikelihood)
    built.answer(model, log())
    assert {prompt.count("Answer:") + prompt.count("\nA:") for prompt in prompts} == {shots + 1}
    assert built._how.startswith(f"lm-eval 0.4.13, arc_easy {shots}-shot, mmlu {shots}-shot")


def test_what_was_answered_is_not_asked_again(evaluation, scripted, log, killed) -> None:
    built, whole = evaluation(), log("whole")
    undisturbed = scripted()
    built.answer(undisturbed, whole)
    expected = built.mark(undisturbed.ref, whole, None, [])
    total = len(undisturbed.asked)
    kills = (5, total // 2)
    for survived in kills:
        with pytest.raises(killed):
            built.answer(scripted(killed_after=survived), log("torn"))
    resumed = scripted()
    built.answer(resumed, log("torn"))  # opened again, as after a restart
    assert len(resumed.asked) == total - sum(kills)
    assert built.mark(resumed.ref, log("torn"), None, []) == expected
    again = scripted()
    built.answer(again, whole)
    assert again.asked == []


def test_an_unfinished_log_cannot_be_marked(evaluation, scripted, log, killed) -> None:
    rows = log()
    with pytest.raises(killed):
        evaluation().answer(scripted(killed_after=5), rows)
    with pytest.raises(StoreError, match="give the run's command again"):
        evaluation().mark(scripted().ref, rows, None, [])


def test_what_fails_is_counted_and_is_in_no_figure(result, scripted, log) -> None:
    second = read("microworld", "arc_easy", 0).evaluated[1]["question"]
    script = right_answers("arc_easy")
    failing = scripted(replies=script, failures={re.escape(second): "refused"})
    found = result(failing, log("one"), benchmarks=["arc_easy"])
    for metric in found.metrics:
        assert (metric.value, metric.n, metric.failed) == (1.0, 2, 1)
    assert found.failures == {"refused": 1}
    assert found.items[1].outcome == Failure(reason="refused", detail="as scripted")
    assert found.items[1].answer == ""
    whole = result(scripted(replies=script), log("none"), benchmarks=["arc_easy"])
    assert found.protocol == whole.protocol

    found = result(scripted(failures={".": "refused"}), log("all"))
    for metric in found.metrics:
        assert (metric.value, metric.low, metric.n) == (None, None, 0)
        assert metric.failed > 0
    assert {metric.name for metric in found.metrics} > {*NAMES, "mean"}


def test_what_does_not_fit_fails_or_is_cut(result, scripted, log, jsonl, tmp_path) -> None:
    choices = {"text": ["yes", "no", "perhaps"], "label": ["A", "B", "C"]}
    rows = [
        {"question": "word " * count + "and so?", "choices": choices, "answerKey": "B"}
        for count in (1, 30)
    ]
    jsonl("arc_easy_test.jsonl", rows)
    asked = {"benchmarks": ["arc_easy"], "data": str(tmp_path)}
    found = result(scripted(default=" no", context=80), log("fail"), **asked)
    assert [item.outcome.kind for item in found.items] == ["score", "failure"]
    assert found.failures == {"prompt_too_long": 1}
    assert "failed where they do not fit" in found.description

    model = scripted(default=" no", context=80)
    cut = result(model, log("cut"), too_long="truncate", **asked)
    assert (cut.metric("arc_easy").value, cut.metric("arc_easy").failed) == (1.0, 0)
    assert "cut to fit" in cut.description
    assert cut.protocol != found.protocol
    short = result(scripted(default=" no", context=5), log("short"), too_long="truncate", **asked)
    assert short.failures == {"prompt_too_long": 2}  # not even the choices fit


def test_a_number_that_is_none_fails_its_item(result, scripted, log, monkeypatch) -> None:
    model = scripted()
    score = model.loglikelihood

    def diverged(requests):
        for one in score(requests):
            yield type(one)(one.id, float("nan"), one.tokens, one.greedy)

    model.loglikelihood = diverged
    found = result(model, log(), benchmarks=["piqa"])
    assert found.failures == {"not_a_number": 3}
    assert found.metric("piqa").value is None


def test_with_a_chat_template_contexts_are_conversations(evaluation, scripted, log) -> None:
    built = evaluation(benchmarks=["nq", "mmlu", "gsm8k"], limit=1, chat_template=True)
    model, rows = scripted(default="#### 3"), log()
    prompts = []
    generate, score = model.generate, model.loglikelihood
    model.generate = lambda asked: generate([prompts.append(one.prompt) or one for one in asked])
    model.loglikelihood = lambda asked: score([prompts.append(one.prompt) or one for one in asked])
    built.answer(model, rows)
    found = built.mark(model.ref, rows, None, [])
    assert all(isinstance(turn, Message) for prompt in prompts for turn in prompt)
    nq = prompts[0]
    assert [turn.role for turn in nq] == ["system", *["user", "assistant"] * 5, "user"]
    assert nq[0].content.startswith("Answer these questions")
    assert "asked as conversations" in found.description
    assert "chat template scripted" in found.description
    plain = evaluation(benchmarks=["nq", "mmlu", "gsm8k"], limit=1)
    rows = log("plain")
    plain.answer(scripted(), rows)
    assert plain.mark(model.ref, rows, None, []).protocol != found.protocol
    assert found.metric("gsm8k").note.startswith("exact_match_flexible")


def test_a_conversation_is_not_cut(evaluation) -> None:
    with pytest.raises(ConfigError, match="in the middle of its chat template"):
        evaluation(chat_template=True, too_long="truncate")


def test_a_cut_off_answer_is_scored_and_marked(result, scripted, log) -> None:
    long = scripted(default="1 and " * 20)
    found = result(long, log(), benchmarks=["gsm8k"], max_gen_toks=10)
    assert {item.details["truncated"] for item in found.items} == {True}
    assert found.metric("gsm8k").n == 3


def test_nothing_heavy_is_imported_before_something_is_asked() -> None:
    code = (
        "import sys; from evals.nlp_benchmarks.evaluation import NLPBenchmarks as N; "
        "N(N.Config()); print(sorted({'torch', 'lm_eval', 'datasets'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_lm_eval_says_nothing_and_asks_no_network(result, capfd, caplog, monkeypatch) -> None:
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    result()
    captured = capfd.readouterr()
    assert (captured.out, captured.err, caplog.records) == ("", "", [])


def test_items_show_why_they_are_right_or_wrong(result, scripted) -> None:
    found = result(benchmarks=["arc_easy", "mmlu", "piqa"], limit=1)
    arc, mmlu, piqa = (by_benchmark(found, name)[0] for name in ("arc_easy", "mmlu", "piqa"))
    for item in (arc, mmlu, piqa):
        details = item.details
        texts = [one["text"] for one in details["choices"]]
        [right] = details["right_answers"]
        assert right in texts
        assert "Answer:" not in details["prompt"]  # neither a template nor an example
        best = max(details["choices"], key=lambda one: one["logprob"])["text"]
        assert details["scores"]["acc"] == (best == right)
    by_character = max(arc.details["choices"], key=lambda one: one["per_character"])["text"]
    assert arc.details["scores"]["acc_norm"] == (by_character == arc.details["right_answers"][0])
    assert [one["text"][:3] for one in mmlu.details["choices"]] == ["A. ", "B. ", "C. ", "D. "]
    assert mmlu.details["choices"][0].keys() == {"text", "logprob"}


def test_generated_answers_are_shown_with_what_was_read_in_them(result, scripted) -> None:
    found = result(scripted(default="It is 7 I think"), benchmarks=["gsm8k", "nq"], limit=1)
    [sums], [facts] = by_benchmark(found, "gsm8k"), by_benchmark(found, "nq")
    assert sums.details["extracted"] == {
        "exact_match_strict": "[invalid]",
        "exact_match_flexible": "7",
    }
    assert "####" in sums.details["right_answers"][0]
    assert sums.details["scores"]["exact_match_strict"] == 0
    assert sums.details["truncated"] is False
    assert len(facts.details["right_answers"]) > 1
    assert facts.details["extracted"] == {"exact_match": "It is 7 I think"}


def test_a_failed_item_shows_what_was_asked(result, scripted) -> None:
    script = scripted(failures={".": "refused"})
    found = result(script, benchmarks=["arc_easy"], limit=1)
    [item] = found.items
    assert (item.outcome.reason, item.outcome.detail) == ("refused", "as scripted")
    assert item.details.keys() == {"prompt", "right_answers"}


def by_benchmark(found, name):
    return [item for item in found.items if item.category == name]
