"""What every engine must do. A new engine joins by a line in `ENGINES`."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines.ray import Ray
from harness.engines.scripted import Scripted
from harness.engines.transformers import Transformers
from harness.engines.vllm import VLLM
from harness.protocols import (
    Completion,
    Continuation,
    LoadedModel,
    Message,
    Prompt,
    Request,
    Sampling,
    user,
)
from harness.records import ModelRef
from tests.harness.engines import tiny

Open = Callable[[Path], AbstractContextManager[LoadedModel]]

SCRIPT = Scripted.Config(
    replies={"Hello": ("Good day.", "Hi there, and welcome.", "Hey"), "long": "word " * 30},
    default=("Yes, certainly.", "No.", "I do not know, sorry."),
    context=96,
)

ENGINES: dict[str, Open] = {
    "transformers": lambda folder: Transformers(Transformers.Config(batch_rows=8)).open(
        ModelRef(location=str(folder))
    ),
    "scripted": lambda folder: Scripted(SCRIPT).open(ModelRef(location="any")),
    "vllm": lambda folder: VLLM(VLLM.Config()).open(ModelRef(location=str(folder))),
    "fake vllm": lambda folder: VLLM(VLLM.Config(replicas=2)).open(ModelRef(location=str(folder))),
    "ray": lambda folder: Ray(Ray.Config(replicas=2)).open(ModelRef(location=str(folder))),
}
MARKS = {"vllm": [pytest.mark.vllm], "ray": [pytest.mark.ray]}

SAMPLING = Sampling(n=3, temperature=0.7, top_p=0.9, max_tokens=12, seed=1)

PROMPTS: tuple[Prompt, ...] = (
    user("Hello"),
    user("Hello, how are you today?"),
    "Once upon a time",
    (Message("user", "a"), Message("assistant", "b"), Message("user", "long")),
    (70, 71, 72, 73),
)


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=MARKS.get(name, [])) for name in ENGINES]
)
def model(
    request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoadedModel]:
    folder = tiny_model
    if request.param == "fake vllm":
        request.getfixturevalue("fake_vllm")
    if request.param == "vllm":
        request.getfixturevalue("vllm_python")
        folder = tiny.save(tmp_path_factory.mktemp("tiny") / "model", hidden=128)  # heads of 32
    with ENGINES[request.param](folder) as loaded:
        yield loaded


def requests(sampling: Sampling = SAMPLING) -> list[Request]:
    return [Request(f"row-{i}", prompt, sampling) for i, prompt in enumerate(PROMPTS)]


def by_row(completions: Iterator[Completion]) -> dict[tuple[str, int], Completion]:
    found = list(completions)
    assert len({(c.id, c.index) for c in found}) == len(found)
    return {(c.id, c.index): c for c in found}


def test_every_request_gets_its_samples(model: LoadedModel) -> None:
    mixed = [
        replace(request, sampling=replace(SAMPLING, n=1 + i % 3))
        for i, request in enumerate(requests())
    ]
    found = by_row(model.generate(iter(mixed)))
    assert set(found) == {(r.id, i) for r in mixed for i in range(r.sampling.n)}


def test_no_requests_no_completions(model: LoadedModel) -> None:
    assert list(model.generate([])) == []
    assert list(model.loglikelihood([])) == []


def test_describes_itself(model: LoadedModel) -> None:
    assert model.ref.fingerprint
    assert model.chat_template
    assert model.context == 96


def test_a_row_is_the_same_alone_and_in_any_order(model: LoadedModel) -> None:
    together = by_row(model.generate(requests()))
    backwards = by_row(model.generate(reversed(requests())))
    alone = {}
    for request in requests():
        alone.update(by_row(model.generate([request])))
    assert {k: c.token_ids for k, c in together.items()} == {
        k: c.token_ids for k, c in alone.items()
    }
    assert together == backwards


def test_fewer_samples_are_a_prefix_of_more(model: LoadedModel) -> None:
    one = by_row(model.generate(requests(replace(SAMPLING, n=1))))
    three = by_row(model.generate(requests()))
    assert all(three[key] == completion for key, completion in one.items())


def test_seeds_ids_and_indexes_draw_differently(model: LoadedModel) -> None:
    rows = [Request(f"row-{i}", user("Hello"), SAMPLING) for i in range(6)]
    other = [replace(row, sampling=replace(SAMPLING, seed=2)) for row in rows]
    first, again = by_row(model.generate(rows)), by_row(model.generate(rows))
    assert first == again
    different = by_row(model.generate(other))
    assert {k: c.token_ids for k, c in first.items()} != {
        k: c.token_ids for k, c in different.items()
    }
    by_index = [[first[f"row-{i}", n].token_ids for i in range(6)] for n in range(3)]
    assert by_index[0] != by_index[1] != by_index[2]
    assert len(set(by_index[0])) > 1


def test_greedy_samples_are_all_the_same(model: LoadedModel) -> None:
    found = by_row(model.generate(requests(replace(SAMPLING, temperature=0))))
    assert len({c.token_ids for (id, _), c in found.items() if id == "row-0"}) == 1


@pytest.mark.parametrize("most", [1, 5])
def test_max_tokens_is_kept_and_told(model: LoadedModel, most: int) -> None:
    whole = by_row(model.generate(requests(replace(SAMPLING, max_tokens=60))))
    capped = by_row(model.generate(requests(replace(SAMPLING, max_tokens=most))))
    reasons = Counter(completion.finish_reason for completion in capped.values())
    assert reasons["length"] > 0
    for key, completion in capped.items():
        assert completion.token_ids == whole[key].token_ids[:most]
        assert (completion.finish_reason == "length") == (
            completion.token_ids != whole[key].token_ids or whole[key].finish_reason == "length"
        )


def test_the_context_bounds_prompt_and_completion(model: LoadedModel) -> None:
    sampling = replace(SAMPLING, max_tokens=10_000, n=2)
    [long] = [r for r in requests(sampling) if r.id == "row-3"]
    for completion in model.generate([long]):
        assert len(completion.prompt_ids) + len(completion.token_ids) <= model.context


def test_a_stop_string_ends_the_text_before_it(model: LoadedModel) -> None:
    free = by_row(model.generate(requests()))
    seen = 0
    for request in requests():
        text = free[request.id, 0].text
        stop = text[2:4]
        if len(stop) < 2:
            continue
        seen += 1
        sampling = replace(SAMPLING, n=1, stop=("never said", stop))
        [stopped] = model.generate([replace(request, sampling=sampling)])
        assert stopped.text == text[: text.find(stop)]
        assert stopped.finish_reason == "stop"
        count = len(stopped.token_ids)
        assert stopped.token_ids == free[request.id, 0].token_ids[:count]
        assert count < len(free[request.id, 0].token_ids)
    assert seen > 0


def test_prompts_that_do_not_fit_fail_alone(model: LoadedModel) -> None:
    rows = [*requests(), Request("too long", user("x" * 200), SAMPLING)]
    found = by_row(model.generate(rows))
    assert len(found) == 3 * len(rows)
    for (id, _), completion in found.items():
        failed = id == "too long"
        assert (completion.finish_reason == "failed") == failed
        assert (completion.failure is not None) == failed
        if completion.failure is not None:
            assert completion.failure.reason == "prompt_too_long"
            assert completion.text == ""
            assert completion.token_ids == ()


def test_completions_stream(model: LoadedModel) -> None:
    first = next(iter(model.generate(requests(replace(SAMPLING, n=8)))))
    assert first.id.startswith("row-")


def test_prompt_tokens_are_counted_as_generated(model: LoadedModel) -> None:
    for completion in model.generate(requests(replace(SAMPLING, n=1))):
        prompt = PROMPTS[int(completion.id.removeprefix("row-"))]
        assert model.count_tokens(prompt) == len(completion.prompt_ids)


def test_generated_prompt_ids_give_the_same_completion(model: LoadedModel) -> None:
    greedy = replace(SAMPLING, temperature=0, n=1)
    for completion in by_row(model.generate(requests(greedy))).values():
        if isinstance(PROMPTS[int(completion.id.removeprefix("row-"))], str):
            [again] = model.generate([Request(completion.id, completion.prompt_ids, greedy)])
            assert again.token_ids == completion.token_ids


def test_a_turn_that_the_assistant_has_begun_goes_on(model: LoadedModel) -> None:
    asked = Request("asked", user("Hello"), replace(SAMPLING, n=1, max_tokens=1))
    begun = (Message("user", "Hello"), Message("assistant", "Score:"))
    found = by_row(model.generate([asked, replace(asked, id="begun", prompt=begun)]))
    before, after = found["asked", 0].prompt_ids, found["begun", 0].prompt_ids
    assert after[: len(before)] == before
    assert len(after) == model.count_tokens(begun) > len(before)
    assert len(found["begun", 0].token_ids) == 1


def test_logprobs_only_where_asked(model: LoadedModel) -> None:
    asked = Request("asked", user("Hello"), replace(SAMPLING, logprobs=True))
    silent = Request("silent", user("Hello"), SAMPLING)
    for completion in model.generate([asked, silent]):
        if completion.id == "silent":
            assert completion.logprobs is None
        else:
            assert completion.logprobs is not None
            assert len(completion.logprobs) == len(completion.token_ids)
            assert all(value <= 0 for value in completion.logprobs)


def test_the_likeliest_tokens_only_where_asked(model: LoadedModel) -> None:
    greedy = replace(SAMPLING, n=1, temperature=0, logprobs=True)
    asked = Request("asked", user("Hello"), replace(greedy, top_logprobs=3))
    silent = Request("silent", user("Hello"), greedy)
    found = by_row(model.generate([asked, silent]))
    with_steps, without = found["asked", 0], found["silent", 0]
    assert without.steps is None
    assert with_steps.steps is not None and with_steps.logprobs is not None
    assert len(with_steps.steps) == len(with_steps.token_ids)
    assert "".join(step.token for step in with_steps.steps) == with_steps.text
    for step, logprob in zip(with_steps.steps, with_steps.logprobs, strict=True):
        likelihoods = [value for _, value in step.alternatives]
        assert 1 <= len(likelihoods) <= 3
        assert likelihoods == sorted(likelihoods, reverse=True)
        # Greedy decoding takes the likeliest.
        assert likelihoods[0] == pytest.approx(logprob, abs=1e-6)


def test_loglikelihood_agrees_with_sampled_logprobs(model: LoadedModel) -> None:
    found = by_row(model.generate(requests(replace(SAMPLING, logprobs=True))))
    rows = [
        Continuation(f"{c.id}/{c.index}", PROMPTS[int(c.id[4:])], c.token_ids)
        for c in found.values()
    ]
    scores = {score.id: score for score in model.loglikelihood(iter(rows))}
    assert set(scores) == {row.id for row in rows}
    for completion in found.values():
        score = scores[f"{completion.id}/{completion.index}"]
        assert completion.logprobs is not None
        assert score.logprob == pytest.approx(sum(completion.logprobs), abs=1e-3)
        assert score.tokens == len(completion.token_ids)


def test_greedy_completions_are_greedy_continuations(model: LoadedModel) -> None:
    greedy = replace(SAMPLING, temperature=0, n=1)
    lengths = [
        replace(request, sampling=replace(greedy, max_tokens=2 + 3 * i))
        for i, request in enumerate(requests())
    ]
    found = list(model.generate(lengths))
    rows = [Continuation(c.id, PROMPTS[int(c.id[4:])], c.token_ids) for c in found]
    rows += [
        Continuation(f"not {c.id}", r.prompt, (9, *r.continuation[1:]))
        for c, r in zip(found, rows, strict=True)
        if c.token_ids[0] != 9
    ]
    for score in model.loglikelihood(rows):
        assert score.greedy == (not score.id.startswith("not"))


def test_continuations_that_do_not_fit_fail_alone(model: LoadedModel) -> None:
    fits = Continuation("fits", "Once upon", " a time")
    rows = [Continuation("too long", "Once", "x" * 200), fits]
    scores = {score.id: score for score in model.loglikelihood(rows)}
    failure = scores["too long"].failure
    assert failure is not None
    assert failure.reason == "prompt_too_long"
    assert math.isnan(scores["too long"].logprob)
    assert scores["fits"].failure is None
    assert scores["fits"].logprob < 0
    assert scores["fits"].tokens == len(" a time")


def test_the_last_token_is_only_predicted_and_need_not_fit(model: LoadedModel) -> None:
    prompt = (70, 71, 72)
    rest = tuple(60 + i % 20 for i in range(model.context + 1 - len(prompt)))
    rows = [Continuation("fits", prompt, rest), Continuation("too long", prompt, (*rest, 60))]
    scores = {score.id: score for score in model.loglikelihood(rows)}
    assert scores["fits"].failure is None
    assert scores["fits"].tokens == len(rest)
    assert scores["too long"].failure is not None
