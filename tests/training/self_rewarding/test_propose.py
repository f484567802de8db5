"""New prompts: filtered as Self-Instruct does, the same in every run, resumed by row."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from pydantic import ValidationError
from rouge_score.rouge_scorer import RougeScorer

from harness.engines.scripted import Scripted
from harness.errors import ConfigError, DataError
from harness.protocols import Message, Request
from harness.records import ModelRef
from harness.rows import RowLog
from tests.training.self_rewarding.scripts import Dying
from training.self_rewarding.filters import objection
from training.self_rewarding.propose import (
    Proposals,
    Proposing,
    draw,
    load_template,
    propose,
)

VERBS = ("Describe", "Explain", "Name", "Summarise", "Compare", "List", "Invent", "Review")
THINGS = (
    "winter weather",
    "high tides",
    "long rivers",
    "famous novels",
    "strong coffee",
    "sea salt",
)
MANNERS = ("in ten words", "for a child", "like a pirate", "with one example", "in plain verse")
SEEDS = [
    f"{verb} {THINGS[i % 6]} {MANNERS[i % 5]}" for i, verb in enumerate((*VERBS, "Sell", "Defend"))
]
SETTINGS = Proposing(wanted=20, requests=8, max_tokens=1000)
SCORER = RougeScorer(["rougeL"])


def invent(ref: ModelRef, request: Request, index: int) -> str:
    """Write a prompt at random, by the request's id and what it shows."""
    rng = Random(f"{request.id} {request.sampling.seed} {request.prompt}")
    first, second = rng.sample(THINGS, 2)
    return f" {rng.choice(VERBS)} {first} and {second} {rng.choice(MANNERS)}"


def write(
    path: Path,
    settings: Proposing = SETTINGS,
    seeds: Sequence[str] = SEEDS,
    seed: int = 0,
    rows: int = 10**6,
    earlier: Sequence[str] = (),
) -> tuple[Proposals, list[str]]:
    """Propose with the scripted model; say what it was asked, too."""
    with Scripted(Scripted.Config(), invent).open(ModelRef(location="any")) as script:
        model = Dying(script, rows)
        with RowLog(path) as log:
            proposals = propose(model, seeds, settings, log, seed, earlier)
    return proposals, model.answered


def asked_of(settings: Proposing, path: Path, seeds: Sequence[str] = SEEDS) -> list[Request]:
    """Collect the requests that a model gets."""
    requests: list[Request] = []

    def reply(ref: ModelRef, request: Request, index: int) -> str:
        requests.append(request)
        return invent(ref, request, index)

    script = Scripted(Scripted.Config(), reply)
    with script.open(ModelRef(location="any")) as model, RowLog(path) as log:
        propose(model, seeds, settings, log, 0)
    return requests


def test_every_request_is_accounted_for(tmp_path: Path) -> None:
    proposals, answered = write(tmp_path / "log.jsonl")
    metrics = proposals.metrics
    assert metrics["stopped"] == "enough"
    assert len(proposals.prompts) == metrics["accepted"] == 20
    rejected = metrics["rejected"]
    assert isinstance(rejected, dict)
    assert metrics["requested"] == len(answered) == 20 + sum(map(int, map(str, rejected.values())))
    assert all(objection(prompt, SETTINGS.filters) is None for prompt in proposals.prompts)
    for place, prompt in enumerate(proposals.prompts):
        for other in (*SEEDS, *proposals.prompts[:place]):
            assert SCORER.score(other, prompt)["rougeL"].fmeasure <= 0.7


def test_the_same_seed_gives_the_same_prompts(tmp_path: Path) -> None:
    first, _ = write(tmp_path / "1.jsonl")
    again, _ = write(tmp_path / "2.jsonl")
    other, _ = write(tmp_path / "3.jsonl", seed=1)
    assert first == again
    assert first.prompts != other.prompts


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 13, 30])
def test_an_interrupted_run_goes_on_where_it_was(rows: int, tmp_path: Path) -> None:
    whole, asked = write(tmp_path / "whole.jsonl")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "log.jsonl", rows=rows)
    resumed, rest = write(tmp_path / "log.jsonl")
    assert resumed == whole
    assert len(rest) == len(asked) - rows
    finished, nothing = write(tmp_path / "log.jsonl")
    assert finished == whole
    assert nothing == []


def test_six_seeds_and_two_generated_prompts_are_shown(tmp_path: Path) -> None:
    requests = asked_of(SETTINGS, tmp_path / "log.jsonl")
    for request in requests:
        assert isinstance(request.prompt, str)
        shown = [line.partition(": ")[2] for line in request.prompt.split("\n") if "Task " in line]
        assert len(shown) == 9
        assert shown[8] == ""
        assert request.prompt.endswith("\nTask 9:")
        of_seeds = [prompt for prompt in shown[:8] if prompt in SEEDS]
        assert len(of_seeds) == len(set(of_seeds)) == (8 if request.id < "0001" else 6)
        assert (request.sampling.temperature, request.sampling.top_p) == (0.6, 0.9)
    places = {request.prompt.index(SEEDS[0]) for request in requests if SEEDS[0] in request.prompt}
    assert len(places) > 2, "the order is shuffled"


def test_without_demonstrations_the_template_alone_is_continued(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(
        update={"demonstrations": 0, "generated": 0, "template": "microworld", "separator": " "}
    )
    requests = asked_of(settings, tmp_path / "log.jsonl", seeds=())
    assert {request.prompt for request in requests} == {"Question:"}


def test_a_template_can_be_a_user_turn(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"chat": True})
    prompt = asked_of(settings, tmp_path / "log.jsonl")[0].prompt
    assert isinstance(prompt[0], Message)
    assert prompt[0].role == "user"
    assert prompt[0].content.endswith("\nTask 9:")


def test_earlier_prompts_do_not_come_again_unless_that_is_wanted(tmp_path: Path) -> None:
    first, _ = write(tmp_path / "1.jsonl")
    second, _ = write(tmp_path / "2.jsonl", earlier=first.prompts)
    assert not set(first.prompts) & set(second.prompts)
    settings = SETTINGS.model_copy(update={"apart_from": "round"})
    alone, _ = write(tmp_path / "3.jsonl", settings)
    again, _ = write(tmp_path / "4.jsonl", settings, earlier=alone.prompts)
    assert again == alone


def test_it_gives_up_when_nothing_new_comes(tmp_path: Path) -> None:
    script = Scripted(Scripted.Config(default="Write down one single new thing."))
    with script.open(ModelRef(location="any")) as model, RowLog(tmp_path / "log.jsonl") as log:
        proposals = propose(model, SEEDS, SETTINGS, log, 0)
    assert len(proposals.prompts) == 1
    assert proposals.metrics["stopped"] == "no_progress"
    assert proposals.metrics["rounds"] == 1 + SETTINGS.patience
    assert proposals.metrics["rejected"] == {"duplicate": 8 * (1 + SETTINGS.patience) - 1}


def test_it_stops_after_the_most_rounds(tmp_path: Path) -> None:
    proposals, answered = write(
        tmp_path / "log.jsonl", SETTINGS.model_copy(update={"most_rounds": 1})
    )
    assert proposals.metrics["stopped"] == "most_rounds"
    assert len(answered) == 8


def test_held_out_and_failed_and_cut_off_rows_are_counted(tmp_path: Path) -> None:
    def reply(ref: ModelRef, request: Request, index: int) -> str:
        return ("Tell " * 300, "Tell me the secret word", invent(ref, request, index))[
            int(request.id[-1]) % 3
        ]

    script = Scripted(Scripted.Config(failures={"sea salt like a pirate": "refused"}), reply)
    settings = SETTINGS.model_copy(update={"most_rounds": 3})
    with script.open(ModelRef(location="any")) as model, RowLog(tmp_path / "log.jsonl") as log:
        proposals = propose(
            model, SEEDS, settings, log, 0, held_out=lambda prompt: "secret" in prompt
        )
    rejected = proposals.metrics["rejected"]
    assert isinstance(rejected, dict)
    assert rejected["held_out"]
    assert rejected["truncated"]
    assert not any("secret" in prompt for prompt in proposals.prompts)


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path) -> None:
    script = Scripted(Scripted.Config(failures={"": "prompt_too_long"}))
    with (
        script.open(ModelRef(location="any")) as model,
        RowLog(tmp_path / "log.jsonl") as log,
        pytest.raises(DataError, match=r"24 attempts \(prompt_too_long 24\)"),
    ):
        propose(model, SEEDS, SETTINGS, log, 0)


def test_too_few_seeds_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="8 prompts are to be shown, but only 3 of 4 seeds pass"):
        write(tmp_path / "log.jsonl", seeds=[*SEEDS[:3], "Too short"])


def test_prompts_from_a_file_do_not_repeat_between_iterations() -> None:
    given_prompts = [f"Prompt number {i}" for i in range(10)] + ["prompt  NUMBER 1"]
    first = draw(given_prompts, 4, seed=0)
    second = draw(given_prompts, 4, 0, first.prompts)
    third = draw(given_prompts, 4, 0, [*first.prompts, *second.prompts])
    everything = [p.casefold().split()[2] for d in (first, second, third) for p in d.prompts]
    assert sorted(everything) == sorted("0123456789")
    assert draw(given_prompts, 4, seed=0) == first
    assert draw(given_prompts, 4, seed=1) != first
    assert third.metrics["stopped"] == "exhausted"
    with pytest.raises(DataError, match=r"none of the 11 given prompts is left \(earlier 11\)"):
        draw(given_prompts, 4, 0, given_prompts)
    assert "Prompt number 3" not in draw(given_prompts, 9, 0, (), lambda p: "3" in p).prompts


def test_templates(tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("Ask!\n{number}. {task}\n{number}.\n")
    shown = load_template(str(own)).render(["Say {task}\n twice", "Sing"])
    assert shown == "Ask!\n1. Say {task} twice\n2. Sing\n3."
    with pytest.raises(ConfigError, match="nor one of microworld, self_instruct"):
        load_template("missing")
    own.write_text("No place for one\n")
    with pytest.raises(ConfigError, match=r"must have one line with \{task\}"):
        load_template(str(own))
    with pytest.raises(ValidationError, match="at most as many"):
        Proposing(demonstrations=1, generated=2)
