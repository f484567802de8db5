"""The `openai` engine over real HTTP: what every engine does, as far as a server can.

A server keeps token ids to itself, so that the conformance suite, which compares them, is written
anew here: for chats by their texts, for plain text against the very model behind the server.
"""

import hashlib
import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness import plugins
from harness.config import Choice
from harness.engines.openai import OpenAI
from harness.errors import ConfigError, JudgeUnavailable
from harness.judge import Judge, pointwise, sampling_for
from harness.protocols import Continuation, Engine, Message, Remote, Request, Sampling, user
from harness.records import ModelRef
from harness.remote.model import CONTEXT
from tests.judge_server import JudgeServer, Said, at_random, without_logprobs
from tests.word_model import CHARACTERS, WordModel

REF = ModelRef(name="judge", location="judge")
SAMPLING = Sampling(n=3, temperature=0.7, max_tokens=12, seed=1)
PROMPTS = (
    user("Hello"),
    user("Hello, how are you today?"),
    (Message("system", "Be short."), *user("a"), Message("assistant", "b"), *user("c")),
)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HARNESS_PRICES"):
        monkeypatch.delenv(name, raising=False)


def drawn(body):
    """Draw one of ten texts, by what a sampling server would go by."""
    greedy = body["temperature"] == 0
    key = json.dumps([body["messages"], None if greedy else body["seed"]])
    return f"text {hashlib.sha256(key.encode()).digest()[0] % 10}"


@pytest.fixture
def server():
    with JudgeServer(drawn) as running:
        yield running


@pytest.fixture
def model(server):
    with OpenAI(OpenAI.Config(base_url=server.url)).open(REF) as opened:
        yield opened


def requests(sampling=SAMPLING):
    return [Request(f"row-{i}", prompt, sampling) for i, prompt in enumerate(PROMPTS)]


def by_row(completions):
    found = list(completions)
    assert len({(c.id, c.index) for c in found}) == len(found)
    return {(c.id, c.index): c for c in found}


def test_is_an_engine_of_a_remote_and_light_kind():
    built = plugins.build(plugins.ENGINES, Choice(name="openai"))
    engine: Engine = built.plugin
    assert isinstance(engine, Remote)
    assert engine.light
    assert json.dumps(built.options)


def test_every_request_gets_its_samples(model):
    mixed = [replace(r, sampling=replace(SAMPLING, n=1 + i)) for i, r in enumerate(requests())]
    found = by_row(model.generate(iter(mixed)))
    assert set(found) == {(r.id, i) for r in mixed for i in range(r.sampling.n)}
    assert all(c.finish_reason == "stop" and c.failure is None for c in found.values())


def test_no_requests_no_completions(model, server):
    assert list(model.generate([])) == []
    assert list(model.loglikelihood([])) == []
    assert server.received == []


def test_a_row_is_the_same_alone_in_any_order_and_with_more_samples(server):
    def ask(rows):
        with OpenAI(OpenAI.Config(base_url=server.url)).open(REF) as fresh:
            return by_row(fresh.generate(rows))

    together = ask(requests())
    assert ask(reversed(requests())) == together
    alone = {}
    for request in requests():
        alone |= ask([request])
    assert alone == together
    one = ask(requests(replace(SAMPLING, n=1)))
    assert all(together[key] == completion for key, completion in one.items())


def test_seeds_ids_and_indexes_draw_differently(model):
    rows = [Request(f"row-{i}", user("Hello"), SAMPLING) for i in range(6)]
    first = by_row(model.generate(rows))
    other = by_row(model.generate([replace(r, sampling=replace(SAMPLING, seed=2)) for r in rows]))
    assert {k: c.text for k, c in first.items()} != {k: c.text for k, c in other.items()}
    by_index = [[first[f"row-{i}", n].text for i in range(6)] for n in range(3)]
    assert by_index[0] != by_index[1] != by_index[2]
    assert len(set(by_index[0])) > 1


def test_greedy_rows_that_ask_the_same_are_one_call(model, server):
    rows = [Request(f"row-{i}", user("Hello"), Sampling(temperature=0)) for i in range(4)]
    assert len(by_row(model.generate(rows))) == 4
    assert len(server.received) == 1


def test_greedy_samples_are_calls_of_their_own(model, server):
    [row] = [Request("row", user("Hello"), Sampling(temperature=0, n=3))]
    assert len(by_row(model.generate([row]))) == 3
    assert len(server.received) == 3


def test_what_is_asked(model, server):
    list(model.generate([Request("r", PROMPTS[2], Sampling(temperature=0.5, stop=("\n",)))]))
    [body] = server.answered
    assert body["model"] == "judge"
    assert body["messages"][0] == {"role": "system", "content": "Be short."}
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 1.0, 512)
    assert (body["n"], body["stop"]) == (1, ["\n"])
    assert "logprobs" not in body


def test_probabilities_where_asked():
    def reply(body):
        return Said("m", [{"m": 0.7, "M": 0.2, "x": 0.0}])

    asked = Sampling(temperature=0, max_tokens=1)
    rows = [
        Request("none", user("a"), asked),
        Request("own", user("a"), replace(asked, logprobs=True)),
        Request("top", user("a"), replace(asked, top_logprobs=3)),
        Request("both", user("a"), replace(asked, logprobs=True, top_logprobs=3)),
    ]
    with (
        JudgeServer(reply) as server,
        OpenAI(OpenAI.Config(base_url=server.url)).open(REF) as model,
    ):
        found = {c.id: c for c in model.generate(rows)}
    assert len(server.received) == 3
    assert (found["none"].logprobs, found["none"].steps) == (None, None)
    assert found["own"].logprobs == pytest.approx((math.log(0.7),))
    assert found["own"].steps is None
    assert found["top"].logprobs is None
    [step] = found["top"].steps
    assert step.token == "m"
    assert [token for token, _ in step.alternatives] == ["m", "M"]
    assert step.alternatives[1][1] == pytest.approx(math.log(0.2))
    assert found["both"].steps == found["top"].steps
    assert found["both"].logprobs == found["own"].logprobs


def test_a_server_of_chats_alone_stops_what_asks_for_plain_text(model):
    rows = [*requests(), Request("text", "Once upon", SAMPLING)]
    with pytest.raises(JudgeUnavailable, match="or completes no plain text with it"):
        list(model.generate(rows))
    assert len(by_row(model.generate(requests()))) == 9


def test_an_empty_prompt_fails_alone(text_model, text_server):
    rows = [Request("text", "", SAMPLING), Request("ids", (), SAMPLING), *requests()]
    found = by_row(text_model.generate(rows))
    assert {id for (id, _), c in found.items() if c.failure} == {"text", "ids"}
    assert found["text", 2].failure.reason == "empty_prompt"
    assert len(text_server.received) == 9


# Plain text: the words' model is behind /v1/completions, so that what comes can be computed here.

WORDS = WordModel(["The", " dog", " cat", " barks", " sleeps", " and", " it", "ark", "s."])
TEXT = "The dog barks and"
PLAIN = Sampling(n=2, temperature=0.8, max_tokens=6, seed=3)


@pytest.fixture(params=[False, True], ids=["without BOS", "with BOS"])
def words(request):
    return WordModel(WORDS.pieces[len(CHARACTERS) :], bos=request.param)


@pytest.fixture
def text_server(words):
    with JudgeServer(drawn, language=words, context=48) as running:
        yield running


@pytest.fixture
def text_model(text_server):
    with OpenAI(OpenAI.Config(base_url=text_server.url)).open(REF) as opened:
        yield opened


def test_text_and_token_ids_are_completed(text_model, text_server, words):
    asked = (1, *words.encode(TEXT))
    rows = [Request("text", TEXT, PLAIN), Request("ids", asked, PLAIN), *requests()]
    found = by_row(text_model.generate(rows))
    assert len(found) == 2 * 2 + 3 * 3
    assert [c.failure for c in found.values()] == [None] * 13
    assert len({found[id, index].text for id in ("text", "ids") for index in range(2)}) > 2
    paths = Counter(one.path for one in text_server.received)
    assert paths == {"/v1/completions": 4, "/v1/chat/completions": 9}
    assert by_row(text_model.generate(rows)) == found


def test_greedy_text_is_the_models_own(text_model, words):
    ids = list(words.encode(TEXT))
    for _ in range(6):
        ids.append(words.draw(ids, 0, None))
    greedy = replace(PLAIN, n=1, temperature=0)
    rows = [Request("text", TEXT, greedy), Request("ids", words.encode(TEXT), greedy)]
    for completion in text_model.generate(rows):
        assert completion.text == words.decode(ids)[len(TEXT) :]
        assert completion.finish_reason == ("stop" if words.end in ids else "length")


def test_samples_of_text_are_the_same_alone_and_differ_by_seed(text_server):
    def ask(rows):
        with OpenAI(OpenAI.Config(base_url=text_server.url)).open(REF) as fresh:
            return by_row(fresh.generate(rows))

    rows = [Request(f"row-{i}", TEXT, PLAIN) for i in range(4)]
    together = ask(rows)
    assert ask(rows[2:3]) == {key: c for key, c in together.items() if key[0] == "row-2"}
    assert len({c.text for c in together.values()}) > 4
    other = ask([replace(row, sampling=replace(PLAIN, seed=4)) for row in rows])
    assert {key: c.text for key, c in other.items()} != {k: c.text for k, c in together.items()}


def test_a_stop_string_ends_text_and_nothing_is_an_answer_too(text_model, text_server):
    [free] = text_model.generate([Request("row", TEXT, replace(PLAIN, n=1))])
    for stop in (free.text[1:3], free.text[:1]):
        sampling = replace(PLAIN, n=1, stop=(stop,))
        [stopped] = text_model.generate([Request("row", TEXT, sampling)])
        assert stopped.text == free.text.partition(stop)[0]
        assert (stopped.finish_reason, stopped.failure) == ("stop", None)
    assert len(text_server.received) == 3


def test_probabilities_of_sampled_text(text_model, words):
    sampling = replace(PLAIN, logprobs=True, top_logprobs=3)
    rows = [Request("text", TEXT, sampling), Request("own", TEXT, replace(PLAIN, logprobs=True))]
    for completion in text_model.generate(rows):
        ids, expected = list(words.encode(TEXT)), []
        said = words.encode(completion.text)[words.begin is not None :]
        for id in said:
            expected.append(words.logprobs(tuple(ids[-2:])))
            ids.append(id)
        assert completion.logprobs[: len(said)] == pytest.approx(
            [values[id] for values, id in zip(expected, said, strict=True)]
        )
        if completion.id == "own":
            assert completion.steps is None
            continue
        for step, values in zip(completion.steps, expected, strict=False):
            best = sorted(values, reverse=True)[:3]
            assert [value for _, value in step.alternatives] == pytest.approx(best)
        assert "".join(step.token for step in completion.steps).startswith(completion.text)


def test_a_prompt_that_is_too_long_fails_alone(text_model):
    rows = [Request("long", "x" * 60, PLAIN), Request("fits", TEXT, PLAIN)]
    reasons = {c.id: c.failure and c.failure.reason for c in text_model.generate(rows)}
    assert reasons == {"long": "prompt_too_long", "fits": None}


CONTINUATIONS = [
    Continuation("a", TEXT, " it sleeps."),
    Continuation("b", TEXT + " ", "it sleeps."),
    Continuation("c", "The dog b", "arks."),
    Continuation("d", "The dog", " barks.\n"),
    Continuation("e", "The", " cat"),
]
TOKENS = {"a": 3, "b": 3, "c": 2, "d": 3, "e": 1}


def test_continuations_are_scored_as_the_model_itself_scores_them(text_model, words):
    assert words.encode("The dog barks.")[-2:] == words.encode(" barks.")[-2:]
    greedy = TEXT
    for _ in range(4):
        ids = words.encode(greedy)
        greedy += words.decode([words.draw(ids, 0, None)])
    rows = [*CONTINUATIONS, Continuation("greedy", TEXT, greedy[len(TEXT) :])]
    found = {score.id: score for score in text_model.loglikelihood(rows)}
    for row in CONTINUATIONS:
        ids = words.encode(row.prompt + row.continuation)
        count = TOKENS[row.id]
        logprob, is_greedy = words.score(ids[:-count], ids[-count:])
        assert found[row.id].tokens == count
        assert found[row.id].logprob == pytest.approx(logprob, abs=1e-9)
        assert (found[row.id].greedy, found[row.id].failure) == (is_greedy, None)
    assert found["a"].logprob == found["b"].logprob
    assert words.encode(greedy)[: len(words.encode(TEXT))] == words.encode(TEXT)
    assert found["greedy"].greedy


def test_continuations_of_token_ids_are_scored(text_model, words):
    prompt, rest = words.encode(TEXT), WORDS.encode("ark sleeps")
    [found] = text_model.loglikelihood([Continuation("ids", prompt, rest)])
    logprob, greedy = words.score(prompt, rest)
    assert (found.logprob, found.tokens) == (pytest.approx(logprob, abs=1e-9), len(rest))
    assert found.greedy == greedy


def test_what_was_scored_is_kept_and_in_the_ledger(text_server, tmp_path):
    def ask():
        engine = OpenAI(OpenAI.Config(base_url=text_server.url))
        engine.keep_books(tmp_path)
        with engine.open(REF) as opened:
            return sorted(opened.loglikelihood(CONTINUATIONS), key=lambda one: one.id)

    first = ask()
    assert len(text_server.received) == 1 + len(CONTINUATIONS)  # the first finds out if it can
    assert ask() == first
    assert len(text_server.received) == 1 + len(CONTINUATIONS)
    entries = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [entry["status"] for entry in entries] == ["ok"] * 6


def test_a_shaky_server_scores_the_same(words):
    def ask(**options):
        with JudgeServer(language=words, **options) as server:
            config = OpenAI.Config(base_url=server.url, calls={"backoff": 0.01})
            with OpenAI(config).open(REF) as opened:
                scores = sorted(opened.loglikelihood(rows), key=lambda one: one.id)
            assert server.answered_twice() == []
            return scores

    rows = [Continuation(f"{i}", TEXT + " it" * i, " sleeps") for i in range(20)]
    # Nothing that hangs: a timeout short enough for that is one that a busy machine reaches too.
    assert ask(trouble=at_random(0.3, ("throttle", "error", "reset", "garbage"))) == ask()


def test_continuations_that_do_not_fit_fail_alone(text_model):
    rows = [Continuation("long", "x" * 40, "y" * 10), *CONTINUATIONS]
    found = {score.id: score for score in text_model.loglikelihood(rows)}
    assert found["long"].failure.reason == "prompt_too_long"
    assert math.isnan(found["long"].logprob)
    assert [found[row.id].failure for row in CONTINUATIONS] == [None] * 5


UNSCORABLE = [
    (Continuation("chat", user("a"), "b"), "no_likelihood"),
    (Continuation("mixed", "a", (1,)), "no_likelihood"),
    (Continuation("mixed", (1,), "a"), "no_likelihood"),
    (Continuation("empty", "a", ""), "empty_continuation"),
    (Continuation("empty", (1,), ()), "empty_continuation"),
]


@pytest.mark.parametrize(("row", "reason"), UNSCORABLE)
def test_what_no_server_can_score_is_not_asked(text_model, text_server, row, reason):
    [score] = text_model.loglikelihood([row])
    assert score.failure.reason == reason
    assert math.isnan(score.logprob)
    assert text_server.received == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "404 no such place"),
        ({"language": WORDS, "echo": "refused"}, "400 echo and logprobs are not supported"),
        ({"language": WORDS, "echo": "ignored"}, "does not tell how likely the tokens"),
    ],
)
def test_that_a_server_scores_nothing_is_found_out_once(options, why):
    with JudgeServer(**options) as server:
        with OpenAI(OpenAI.Config(base_url=server.url)).open(REF) as opened:
            for _ in range(2):
                scores = list(opened.loglikelihood(CONTINUATIONS))
                assert {score.failure.reason for score in scores} == {"no_likelihood"}
                assert all(why in score.failure.detail for score in scores)
                assert all(math.isnan(score.logprob) for score in scores)
        asked = 1 if "language" in options else 0
        assert len(server.received) == asked


def test_batches_are_of_chats_alone(text_server, tmp_path):
    engine = OpenAI(OpenAI.Config(base_url=text_server.url, batch=True))
    engine.keep_books(tmp_path)
    with engine.open(REF) as opened:
        for ask in (
            lambda: opened.generate([Request("text", TEXT, PLAIN)]),
            lambda: opened.loglikelihood(CONTINUATIONS),
        ):
            with pytest.raises(ConfigError, match="batch = true asks conversations alone"):
                list(ask())
    assert text_server.received == []


def test_the_context_is_what_the_server_tells(text_server, server):
    for running, context in ((text_server, 48), (server, CONTEXT)):
        engine = OpenAI(OpenAI.Config(base_url=running.url))
        with engine.open(REF) as opened:
            assert opened.context == CONTEXT
        assert running.received == []
        engine.check(REF)
        for _ in range(2):  # a judge is opened anew in every stage
            with engine.open(REF) as opened:
                assert opened.context == context


def test_completions_stream():
    with (
        JudgeServer(
            lambda body: "now", trouble=lambda body, nth: "hang" if "b" in str(body) else None
        ) as server,
        OpenAI(OpenAI.Config(base_url=server.url)).open(REF) as model,
    ):
        sampling = Sampling(temperature=0)
        rows = [Request("1", user("aaa"), sampling), Request("2", user("bbb"), sampling)]
        first = next(model.generate(rows))
    assert first.id == "1"


@pytest.mark.parametrize(
    "said",
    [
        Said(" 4.", [{" ": 0.9, "The": 0.1}, {"4": 0.75, "5": 0.25}]),
        Said(" 4\n", [{" 4": 0.75, " 5": 0.25}, {"\n": 1.0}]),
    ],
)
def test_a_judge_of_one_token_goes_on_whatever_the_servers_tokens_are(said, tmp_path):
    """The server's template and tokenizer, which nobody here knows, decide where a space is."""
    rows = [("a", {"instruction": "Q", "response": "R"})]
    with JudgeServer(lambda body: said, trouble=lambda body, nth: "cut") as server:
        engine = OpenAI(OpenAI.Config(base_url=server.url))
        engine.keep_books(tmp_path)
        for _ in range(2):
            with engine.open(REF) as model:
                sampling = sampling_for("one_token", Sampling())
                judge = Judge(pointwise("five_points"), model, sampling, "one_token")
                [verdict] = judge.mark(rows)
                assert verdict.outcome.value == pytest.approx(4.25)
                assert verdict.probabilities == {4: pytest.approx(0.75), 5: pytest.approx(0.25)}
    [call] = server.received  # the second time, from the books, though it was cut off
    assert call.body["messages"][-1] == {"role": "assistant", "content": "Score:"}
    assert call.body["continue_final_message"] is True


def test_a_family_that_goes_on_with_no_turn_is_refused_before_it_is_asked():
    begun = Request("a", (*user("Q"), Message("assistant", "Score:")), Sampling(max_tokens=1))
    with pytest.raises(ConfigError, match=r"gpt-4\.1 .* begins every answer itself"):
        OpenAI(OpenAI.Config()).accept(ModelRef(location="gpt-4.1"), begun)
    OpenAI(OpenAI.Config()).accept(ModelRef(location="my-llama"), begun)


def test_tokens_are_estimated(model):
    assert model.count_tokens("x" * 40) == 10
    assert model.count_tokens(user("x" * 41)) == 11
    assert model.context >= 16_000
    assert model.chat_template is None


def test_the_fingerprint_tells_judges_apart():
    def fingerprint(served="judge-1", **config):
        with JudgeServer(models=("judge", "gpt-6-sol"), served=served, port=0) as server:
            engine = OpenAI(OpenAI.Config(base_url=server.url, **config))
            location = "gpt-6-sol" if config else "judge"
            with engine.open(ModelRef(location=location)) as opened:
                list(opened.generate([Request("r", user("Hi"), Sampling())]))
                return opened.ref.fingerprint.replace(server.url.split("/")[2], "HOST")

    assert fingerprint() == "judge-1@HOST"
    assert fingerprint(served="judge-2") == "judge-2@HOST"
    assert fingerprint(reasoning_effort="low") == "judge-1@HOST effort=low"


@pytest.mark.parametrize(
    "key", ["sk-abc123", "sk-proj-x", "gsk_abcdef", "my key", "", "AKIA0123456789ABCDEFGH"]
)
def test_a_key_in_place_of_its_variables_name_is_refused_unseen(key):
    with pytest.raises(ValidationError) as refused:
        OpenAI.Config(key=key)
    assert not key or key not in str(refused.value)
    with pytest.raises(ConfigError, match="the name of an environment variable") as shown:
        plugins.build(plugins.ENGINES, Choice.model_validate({"name": "openai", "key": key}))
    assert not key or key not in str(shown.value)


@pytest.mark.parametrize("key", ["OPENAI_API_KEY", "TOGETHER_KEY", "_KEY2", "K"])
def test_names_of_variables_are_taken(key):
    assert OpenAI.Config(key=key).key == key


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://me:secret@example.com/v1", "no credentials"),
        ("https://example.com/v1?key=secret", "no credentials"),
        ("example.com/v1", "begin with"),
    ],
)
def test_a_base_url_that_will_not_do(url, wrong):
    with pytest.raises(ConfigError, match=wrong) as shown:
        plugins.build(plugins.ENGINES, Choice.model_validate({"name": "openai", "base_url": url}))
    assert "secret" not in str(shown.value)


def test_a_missing_key_is_told_before_anything_is_asked():
    engine = OpenAI(OpenAI.Config(base_url="https://judges.example.com/v1", key="JUDGE_KEY"))
    for ask in (engine.check, lambda ref: engine.open(ref).__enter__()):
        with pytest.raises(JudgeUnavailable, match="JUDGE_KEY is not set; set it"):
            ask(REF)


def test_check_finds_the_model_that_answers(tmp_path):
    with JudgeServer(lambda body: "m", served="judge-2026") as server:
        engine = OpenAI(OpenAI.Config(base_url=server.url))
        books = tmp_path / "run" / "calls"
        engine.keep_books(books)
        engine.check(REF)
        with engine.open(REF) as opened:
            assert opened.ref.fingerprint.startswith("judge-2026@")
        checked = json.loads((books / "checked-judge.json").read_text())
        assert (checked["served"], checked["logprobs"]) == ("judge-2026", True)
        [line] = (books / "ledger.jsonl").read_text().splitlines()
        assert json.loads(line)["call"] == "check"
        server.served = "judge-2027"
        with pytest.raises(JudgeUnavailable, match="judge-2026 so far, but now judge-2027"):
            engine.check(REF)


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (ModelRef(location="gone"), "no model gone"),
        (ModelRef(location="judge", revision="judge-1"), "pinned to judge-1"),
    ],
)
def test_check_refuses_a_model_that_is_not_there_or_not_the_pinned_one(ref, said):
    with (
        JudgeServer(lambda body: "m", served="judge-2") as server,
        pytest.raises(JudgeUnavailable, match=said),
    ):
        OpenAI(OpenAI.Config(base_url=server.url)).check(ref)


def test_a_cap_without_a_price_is_refused(tmp_path):
    config = {"base_url": "http://127.0.0.1:9/v1", "guards": {"max_usd": 1}}
    engine = OpenAI(OpenAI.Config.model_validate(config))
    for ask in (engine.check, lambda ref: engine.open(ref).__enter__()):
        with pytest.raises(ConfigError, match="max_usd = 1 cannot be kept"):
            ask(REF)


PRICES = "collected = 2026-11-20\n[models.judge]\nprice = { input = 10.0, output = 100.0 }\n"
PRICES += PRICES.partition("\n")[2].replace("judge", "gone")


@pytest.fixture
def begun(tmp_path):
    """The books' folder of a run that has begun."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "request.json").write_text("{}")
    (tmp_path / "prices.toml").write_text(PRICES)
    return tmp_path / "run" / "calls"


def entered(books):
    path = books / "ledger.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_what_a_check_costs_is_written_down_at_once_and_once(begun, tmp_path):
    with JudgeServer(lambda body: "m") as server:
        engine = OpenAI(OpenAI.Config(base_url=server.url, prices=tmp_path / "prices.toml"))
        engine.keep_books(begun)
        engine.check(REF)
        [entry] = entered(begun)
        assert (entry["call"], entry["status"]) == ("check", "ok")
        assert entry["dollars"] > 0
        with engine.open(REF):
            assert len(entered(begun)) == 1
        pinned = ModelRef(location="judge", revision="another")
        with pytest.raises(JudgeUnavailable, match="pinned to another"):
            engine.check(pinned)
    assert [entry["dollars"] for entry in entered(begun)] == [entry["dollars"]] * 2


def test_a_check_that_nothing_is_left_for_is_not_paid(begun, tmp_path, caplog):
    def engine(most):
        config = {"base_url": server.url, "prices": tmp_path / "prices.toml"}
        made = OpenAI(OpenAI.Config.model_validate({**config, "guards": {"max_usd": most}}))
        made.keep_books(begun)
        return made

    with JudgeServer(lambda body: "m") as server:
        engine(0).check(REF)
        assert (server.received, entered(begun)) == ([], [])
        assert "of $0 are spent: whether judge answers at 127.0.0.1" in caplog.text
        with pytest.raises(JudgeUnavailable, match="no model gone"):  # which costs nothing to ask
            engine(0).check(ModelRef(location="gone"))
        engine(1).check(REF)
        [entry] = entered(begun)
        engine(entry["dollars"]).check(REF)
        assert len(server.received) == len(entered(begun)) == 1


GREEDY_WITH_LOGPROBS = Sampling(temperature=0, max_tokens=4, logprobs=True, top_logprobs=5)


@pytest.mark.parametrize("checked", [False, True])
def test_a_server_that_refuses_logprobs_is_asked_without(begun, checked):
    asked = [Request(f"row-{i}", user(f"Question {i}?"), GREEDY_WITH_LOGPROBS) for i in range(9)]

    def ask():
        engine = OpenAI(OpenAI.Config(base_url=server.url))
        engine.keep_books(begun)
        if checked:
            engine.check(REF)
        for _ in range(2):  # a judge is opened anew in every stage
            with engine.open(REF) as opened:
                completions = list(opened.generate(asked))
                assert {c.id for c in completions} == {r.id for r in asked}
                for completion in completions:
                    assert (completion.text, completion.failure) == ("m", None)
                    assert completion.steps is completion.logprobs is None

    with JudgeServer(lambda body: "m", trouble=without_logprobs) as server:
        for attempt in (1, 2):
            ask()
            judged = [body for body in server.answered if "Question" in str(body)]
            assert len(judged) == 9
            assert not any("top_logprobs" in body for body in judged)
            if checked:
                assert len(server.received) == 9 + 2 * attempt  # two a check
        statuses = Counter(entry["status"] for entry in entered(begun))
        assert statuses["no_logprobs"] == len(server.received) - len(server.answered)


def test_a_server_that_had_logprobs_at_the_check_may_not_refuse_them_later():
    with JudgeServer(lambda body: "m") as server:
        engine = OpenAI(OpenAI.Config(base_url=server.url))
        engine.check(REF)
        server.trouble = without_logprobs
        rows = [Request("row", user("Hi"), GREEDY_WITH_LOGPROBS)]
        with (
            engine.open(REF) as opened,
            pytest.raises(JudgeUnavailable, match="refuses the log-probabilities that are asked"),
        ):
            list(opened.generate(rows))


def test_a_judge_that_cannot_be_sampled_like_that_is_refused_unasked():
    greedy = Request("row", user("Hi"), Sampling(temperature=0))
    for location, remedy in (
        ("gpt-6-sol", r'set reasoning_effort = "none" in \[judge\.engine\]'),
        ("gpt-5", "take another judge"),
    ):
        with pytest.raises(ConfigError, match=remedy):
            OpenAI(OpenAI.Config()).accept(ModelRef(location=location), greedy)
    OpenAI(OpenAI.Config(reasoning_effort="none")).accept(ModelRef(location="gpt-6-sol"), greedy)
    OpenAI(OpenAI.Config()).accept(REF, greedy)
    as_it_comes = replace(greedy, sampling=Sampling())
    OpenAI(OpenAI.Config()).accept(ModelRef(location="gpt-5"), as_it_comes)


def test_a_server_of_ones_own_that_wants_a_key_names_the_variable(monkeypatch):
    with JudgeServer(key="secret-1") as server:
        engine = OpenAI(OpenAI.Config(base_url=server.url))
        unset = "wants a key, and the environment variable OPENAI_API_KEY is not set"
        with pytest.raises(JudgeUnavailable, match=unset):
            engine.check(REF)
        with engine.open(REF) as opened, pytest.raises(JudgeUnavailable, match=unset):
            list(opened.generate(requests()))
        monkeypatch.setenv("OPENAI_API_KEY", "secret-2")
        with pytest.raises(JudgeUnavailable, match=r"refused the key; .* OPENAI_API_KEY"):
            engine.check(REF)


def test_the_door_is_light():
    code = (
        "import sys; from harness.engines.openai import OpenAI; from harness.protocols import *; "
        "from harness.records import ModelRef; "
        "OpenAI(OpenAI.Config()).accept(ModelRef(location='m'), "
        "Request('r', user('Hi'), Sampling())); "
        "sys.exit('openai' in sys.modules or 'aiohttp' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
