"""The `openai` engine over real HTTP: what every engine does, as far as a chat server can."""

import hashlib
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness import plugins
from harness.config import Choice
from harness.engines.openai import OpenAI
from harness.errors import ConfigError, JudgeUnavailable
from harness.protocols import Continuation, Engine, Message, Remote, Request, Sampling, user
from harness.records import ModelRef
from tests.judge_server import JudgeServer, Said

REF = ModelRef(name="judge", location="judge")
SAMPLING = Sampling(n=3, temperature=0.7, max_tokens=12, seed=1)
PROMPTS = (
    user("Hello"),
    user("Hello, how are you today?"),
    (Message("system", "Be short."), Message("user", "a"), Message("assistant", "b")),
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


def test_prompts_that_a_chat_server_cannot_take_fail_alone(model):
    rows = [*requests(), Request("text", "Once upon", SAMPLING), Request("ids", (1, 2), SAMPLING)]
    found = by_row(model.generate(rows))
    assert len(found) == 3 * len(rows)
    reasons = {id: c.failure and c.failure.reason for (id, _), c in found.items()}
    assert reasons == dict.fromkeys(["row-0", "row-1", "row-2"]) | dict.fromkeys(
        ["text", "ids"], "not_a_chat"
    )


def test_likelihoods_are_refused_row_by_row(model):
    [score] = model.loglikelihood([Continuation("c", user("a"), "b")])
    assert score.failure.reason == "no_likelihood"
    assert math.isnan(score.logprob)


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
        engine.keep_books(tmp_path)
        engine.check(REF)
        assert list(tmp_path.iterdir()) == []  # the folder is not the run's before it begins
        with engine.open(REF) as opened:
            assert opened.ref.fingerprint.startswith("judge-2026@")
        checked = json.loads((tmp_path / "checked-judge.json").read_text())
        assert (checked["served"], checked["logprobs"]) == ("judge-2026", True)
        [line] = (tmp_path / "ledger.jsonl").read_text().splitlines()
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


def test_the_door_is_light():
    code = (
        "import sys; from harness.engines.openai import OpenAI; OpenAI(OpenAI.Config()); "
        "sys.exit('openai' in sys.modules or 'aiohttp' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
