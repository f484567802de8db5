import re

import pytest

from evals.mt_bench import prompts, questions
from evals.mt_bench.questions import Question
from harness.data.files import read_table
from harness.errors import ConfigError, DataError
from harness.protocols import Message
from tests.shared_data import shared

QUESTION = Question("81", "writing", ("First {question}?", "Second?"))
SAID = ("one {answer_2} {", "two }")
OTHER = ("uno", "due")
REFERENCE = ("prima", "seconda")


@pytest.fixture
def ours():
    return prompts.load(None, "question.jsonl")


def test_the_prompt_is_chosen_by_turn_and_reference(ours):
    names = {
        (turn, bool(reference)): (
            ours.single(QUESTION, SAID, turn, reference).name,
            ours.pair(QUESTION, (SAID, OTHER), turn, reference).name,
        )
        for turn in (1, 2)
        for reference in (None, REFERENCE)
    }
    assert names == {
        (1, False): ("single-v1", "pair-v2"),
        (1, True): ("single-math-v1", "pair-math-v1"),
        (2, False): ("single-v1-multi-turn", "pair-v2-multi-turn"),
        (2, True): ("single-math-v1-multi-turn", "pair-math-v1-multi-turn"),
    }


def texts_in(text):
    """Which of the texts stand in a prompt, in their order."""
    known = (*QUESTION.turns, *SAID, *OTHER, *REFERENCE)
    return sorted((one for one in known if one in text), key=text.index)


def test_everything_is_filled_in_once_and_in_order(ours):
    one, two = QUESTION.turns
    assert texts_in(ours.single(QUESTION, SAID, 1, None).text) == [one, SAID[0]]
    assert texts_in(ours.single(QUESTION, SAID[:1], 1, None).text) == [one, SAID[0]]
    assert texts_in(ours.single(QUESTION, SAID, 1, REFERENCE).text) == [one, "prima", SAID[0]]
    assert texts_in(ours.single(QUESTION, SAID, 2, None).text) == [one, SAID[0], two, SAID[1]]
    assert texts_in(ours.pair(QUESTION, (OTHER, SAID), 1, None).text) == [one, "uno", SAID[0]]
    last = ours.pair(QUESTION, (SAID, OTHER), 2, REFERENCE).text
    assert texts_in(last) == [one, "prima", two, "seconda", *SAID, *OTHER]
    assert last.count(one) == 3
    assert "{question_2}" not in last


def test_the_instruction_is_where_fastchat_has_it(ours):
    rated = ours.single(QUESTION, SAID, 1, None)
    assert "[[rating]]" in rated.text
    assert "[[rating]]" not in rated.system
    for asked in (
        ours.single(QUESTION, SAID, 2, None),
        ours.pair(QUESTION, (SAID, OTHER), 1, None),
        ours.pair(QUESTION, (SAID, OTHER), 2, REFERENCE),
    ):
        wanted = "[[C]]" if asked.is_pair else "[[rating]]"
        assert wanted in asked.system
        assert wanted not in asked.text
        assert asked.prompt == (Message("system", asked.system), Message("user", asked.text))


def test_ours_say_that_they_are_ours(ours):
    assert ours.wording == "judge prompts in our own words"
    assert "not FastChat's" in ours.note


def test_without_a_system_prompt_there_is_no_system_turn():
    world = prompts.load(None, "microworld")
    asked = world.single(QUESTION, SAID, 1, None)
    assert asked.prompt == (Message("user", asked.text),)


@pytest.fixture
def rows(ours):
    return [
        {"name": one.name, "system_prompt": one.system, "prompt_template": one.template}
        for one in ours.by_name.values()
    ]


def test_a_file_of_ones_own_says_so(jsonl, tmp_path, rows):
    jsonl("mine.jsonl", rows)
    mine = prompts.load(tmp_path / "mine.jsonl", "question.jsonl")
    assert mine.wording.startswith("judge prompts of mine.jsonl (")
    assert mine.note == f"{mine.wording}, not FastChat's"
    rows[0]["system_prompt"] += "!"
    jsonl("other.jsonl", rows)
    assert prompts.load(tmp_path / "other.jsonl", "x").fingerprint != mine.fingerprint


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{question} {answer} {ref_answer_1}", "cannot be filled .*{ref_answer_1}"),
        ("{question}", "cannot be filled .*{answer}"),
        ("{question} {answer.x}", "cannot be filled"),
        ("{question} {answer} {}", "cannot be filled"),
        ("{question} {answer", "odd braces"),
        (None, "no text as prompt_template"),
    ],
)
def test_a_prompt_that_cannot_be_filled_is_an_error(jsonl, tmp_path, rows, template, message):
    [first] = [row for row in rows if row["name"] == "single-v1"]
    first["prompt_template"] = template
    jsonl("mine.jsonl", rows)
    with pytest.raises(ConfigError, match=message):
        prompts.load(tmp_path / "mine.jsonl", "question.jsonl")


def test_a_missing_prompt_is_an_error(jsonl, tmp_path, rows):
    jsonl("mine.jsonl", rows[1:])
    with pytest.raises(ConfigError, match="has no judge prompt single-v1;"):
        prompts.load(tmp_path / "mine.jsonl", "question.jsonl")


def test_fastchats_file_is_known_and_found_in_the_data_folder(data_folder):
    official = shared("mt_bench/judge_prompts.jsonl")
    named = prompts.load(official, "question.jsonl")
    assert (named.wording, named.note) == ("FastChat's judge prompts (fd283293406d)", "")
    pulled = data_folder / "mt_bench" / "judge_prompts.jsonl"
    pulled.parent.mkdir(parents=True)
    pulled.write_bytes(official.read_bytes())
    assert prompts.load(None, "question.jsonl") == named
    assert prompts.load(None, "microworld") != named
    pulled.write_bytes(official.read_bytes() + b"\n")
    with pytest.raises(DataError, match="not what it should be"):
        prompts.load(None, "question.jsonl")


def test_ours_are_our_own_words(ours):
    def runs(one, length=6):
        """Runs of words; a placeholder is no word, and must be where it is."""
        said = re.findall(r"\{?\w+", f"{one.system} {one.template}".lower())
        found = {tuple(said[k : k + length]) for k in range(len(said) - length + 1)}
        return {run for run in found if not any(word.startswith("{") for word in run)}

    official = prompts.load(shared("mt_bench/judge_prompts.jsonl"), "question.jsonl")
    theirs = set().union(*map(runs, official.by_name.values()))
    assert theirs
    for one in ours.by_name.values():
        assert not runs(one) & theirs


def test_fastchats_prompts_are_filled_as_fastchat_fills_them():
    official = prompts.load(shared("mt_bench/judge_prompts.jsonl"), "question.jsonl")
    asked = questions.load(str(shared("mt_bench/question.jsonl")))
    by_id = {row.id: row for row in asked.rows}
    file = shared("mt_bench/model_judgment/medusa_gpt-4_single.jsonl.gz")
    checked = 0
    for row in read_table(str(file)).rows:
        template = official.by_name[row["judge"][1]].template
        values = read_back(template, row["user_prompt"])
        said = [values[name] for name in ("answer", "answer_1", "answer_2") if name in values]
        question = by_id[str(row["question_id"])]
        again = official.single(question, said, row["turn"], asked.references.get(question.id))
        assert (again.name, again.text) == (row["judge"][1], row["user_prompt"])
        checked += 1
    assert checked == 480


def read_back(template, text):
    seen = set()

    def piece(match):
        again = match[1] in seen
        seen.add(match[1])
        return f"(?P={match[1]})" if again else f"(?P<{match[1]}>.*)"

    pattern = re.sub(r"\\\{(\w+)\\\}", piece, re.escape(template))
    return re.fullmatch(pattern, text, re.DOTALL).groupdict()
