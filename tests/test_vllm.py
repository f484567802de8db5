"""The embedded M0 in a real vLLM on the CPU: by our engine, and behind vLLM's server.

    make vllm-env
    pytest -m vllm -s tests/test_vllm.py

takes a few minutes, and shows as well how far vLLM and the transformers engine agree. Any build of
vLLM that runs here will do: HARNESS_VLLM_PYTHON names its Python.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from harness import cli
from harness.checkpoints import locate
from harness.engines.openai import OpenAI
from harness.engines.ray import Cluster, Ray
from harness.engines.transformers import Transformers
from harness.engines.vllm import VLLM
from harness.judge import Judge, pointwise, sampling_for
from harness.microworld import datasets
from harness.protocols import Continuation, Message, Request, Sampling, user
from harness.records import ModelRef
from harness.remote import ledger
from harness.store import Store

pytestmark = pytest.mark.vllm

CONTEXT = 384
M0 = ModelRef(location="microworld")
SERVED = ModelRef(location="m0")
STARTING = 180  # seconds
GREEDY = Sampling(temperature=0, max_tokens=24)
TOLERANCE = 1e-3
ROWS = 40


@pytest.fixture(scope="module")
def url(vllm_python, tmp_path_factory):
    """Start the server, and end it in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    command = [vllm_python, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", locate(M0), "--served-model-name", "m0"]
    command += ["--enforce-eager", "--max-model-len", str(CONTEXT), "--dtype", "float32"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    options = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "1",
        "OMP_NUM_THREADS": "1",
    }
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | options, cwd=log.parent
        )
    try:
        _wait(server, f"http://127.0.0.1:{port}/v1/models", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        finally:
            server.kill()  # where it still waits for a connection


def _wait(server, place, log):
    for _ in range(STARTING * 2):
        if server.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(place, timeout=1):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    pytest.fail(f"the server did not start in {STARTING} s: {log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def engine(vllm_python):
    """M0, by the vllm engine."""
    with VLLM(VLLM.Config(dtype="float32")).open(M0) as model:
        yield model


@pytest.fixture(scope="module", params=["engine", "server"])
def opened(request):
    """Open M0 in vLLM: the engine's is one and the same, behind the server each one is new."""
    if request.param == "engine":
        model = request.getfixturevalue("engine")
        return lambda: nullcontext(model)
    url = request.getfixturevalue("url")
    return lambda: _engine(url).open(SERVED)


@pytest.fixture
def remote(opened):
    with opened() as model:
        yield model


@pytest.fixture(scope="module")
def local():
    """The same M0, by the transformers engine."""
    with Transformers(Transformers.Config(dtype="float32")).open(M0) as model:
        yield model


def _engine(url):
    return OpenAI(OpenAI.Config(base_url=url))


PROMPTS = [row.prompt for row in datasets.evaluation_prompts(ROWS)]
CHATS = [user(prompt) for prompt in PROMPTS]
TEXTS = [f"Question: {prompt} Answer:" for prompt in PROMPTS]


def requests(prompts, sampling=GREEDY):
    return [Request(f"row-{i}", prompt, sampling) for i, prompt in enumerate(prompts)]


def by_row(completions):
    return {(c.id, c.index): c for c in completions}


def test_the_context_is_the_servers(url):
    engine = _engine(url)
    engine.check(SERVED)
    with engine.open(SERVED) as model:
        assert model.context == CONTEXT
        assert model.ref.fingerprint.startswith("m0@127.0.0.1")


@pytest.mark.parametrize("prompts", [CHATS, TEXTS], ids=["chats", "texts"])
def test_greedy_completions_are_those_of_our_own_engine(remote, local, prompts):
    sampling = replace(GREEDY, logprobs=True, top_logprobs=4)
    theirs, ours = (by_row(m.generate(requests(prompts, sampling))) for m in (remote, local))
    assert len(theirs) == len(ours) == ROWS
    same = [key for key in ours if theirs[key].text == ours[key].text]
    print("same texts:", len(same))
    # Where two tokens are equally likely to the last bit or so, either may be the likeliest.
    assert len(same) >= 0.95 * ROWS
    assert all(theirs[key].finish_reason == ours[key].finish_reason for key in same)
    worst = 0.0
    for key in same:
        pairs = list(zip(theirs[key].logprobs, ours[key].logprobs, strict=True))
        worst = max(worst, *(abs(a - b) for a, b in pairs))
        for a, b in zip(theirs[key].steps, ours[key].steps, strict=True):
            assert len(a.alternatives) == len(b.alternatives) == 4
            assert [value for _, value in a.alternatives] == pytest.approx(
                [value for _, value in b.alternatives], abs=TOLERANCE
            )
            likely = {text for text, _ in a.alternatives[:2]}
            assert likely & {text for text, _ in b.alternatives[:2]}
    print("worst log-probability:", worst)
    assert worst < TOLERANCE


def test_a_turn_that_was_begun_goes_on_as_in_our_own_engine(remote, local):
    one_token = sampling_for("one_token", Sampling())
    begun = [(*chat, Message("assistant", "Score:")) for chat in CHATS]
    theirs, ours = (by_row(m.generate(requests(begun, one_token))) for m in (remote, local))
    for key, own in ours.items():
        told, known = dict(theirs[key].steps[0].alternatives), dict(own.steps[0].alternatives)
        assert len(theirs[key].steps) == 1
        for token in list(known)[:5]:
            assert told[token] == pytest.approx(known[token], abs=TOLERANCE)
    # Points, and not the beginning of another turn: the opening was not closed.
    rows = [("a", {"instruction": PROMPTS[0], "response": "Berlin."})]
    verdicts = [
        next(Judge(pointwise("microworld"), model, one_token, "one_token").mark(rows))
        for model in (remote, local)
    ]
    assert verdicts[0].outcome.kind == verdicts[1].outcome.kind
    print("verdicts of an untaught judge:", *verdicts, sep="\n")


def test_sampled_tokens_have_the_probabilities_of_our_own_engine(remote, local):
    sampling = Sampling(n=3, temperature=0.9, max_tokens=24, logprobs=True)
    for prompts in (CHATS, TEXTS):
        drawn = [c for c in remote.generate(requests(prompts, sampling)) if c.text.strip()]
        assert len({c.text for c in drawn}) > ROWS
        ended = [c for c in drawn if c.finish_reason == "stop"]
        assert ended
        again = [Continuation(f"{c.id}/{c.index}", prompts[int(c.id[4:])], c.text) for c in drawn]
        scores = {score.id: score for score in local.loglikelihood(again)}
        worst = 0.0
        compared = 0
        for c in drawn:
            score = scores[f"{c.id}/{c.index}"]
            values = c.logprobs[: score.tokens]
            # A sampled text that is tokenized in another way is another sequence.
            if len(c.logprobs) - score.tokens == (c.finish_reason == "stop"):
                compared += 1
                worst = max(worst, abs(sum(values) - score.logprob))
        print("compared:", compared)
        print("worst sampled sum:", worst)
        assert worst < TOLERANCE
        assert compared > 0.8 * len(drawn)


def test_likelihoods_are_those_of_our_own_engine(remote, local):
    rows = [
        Continuation(f"text/{i}/{j}", f"Question: {group.prompt} Answer:", f" {answer.text}")
        for i, group in enumerate(datasets.preferences(ROWS))
        for j, answer in enumerate(group.responses)
    ]
    rows += [
        Continuation(f"space/{row.id}", f"{row.prompt} ", str(row.continuation)[1:])
        for row in rows[:20]
    ]
    for (id, _), done in by_row(local.generate(requests(TEXTS))).items():
        rows.append(Continuation(f"greedy/{id}", done.prompt_ids, done.token_ids))
        rows.append(Continuation(f"cut/{id}", TEXTS[int(id[4:])], done.text[:9]))
    theirs, ours = ({s.id: s for s in m.loglikelihood(rows)} for m in (remote, local))
    assert len(theirs) == len(ours) == len(rows)
    assert Counter(s.failure for s in theirs.values()) == {None: len(rows)}
    worst = max(abs(theirs[id].logprob - ours[id].logprob) for id in ours)
    print("rows:", len(rows))
    print("worst likelihood:", worst)
    assert worst < TOLERANCE
    assert {id: s.tokens for id, s in theirs.items()} == {id: s.tokens for id, s in ours.items()}
    assert {id: s.greedy for id, s in theirs.items()} == {id: s.greedy for id, s in ours.items()}
    assert sum(s.greedy for s in theirs.values()) >= ROWS


def test_samples_are_reproducible_by_their_seed(opened):
    def ask(prompts, seed):
        sampling = Sampling(n=3, temperature=0.8, top_p=0.95, max_tokens=24, seed=seed)
        with opened() as fresh:
            found = by_row(fresh.generate(requests(prompts, sampling)))
        return {key: completion.text for key, completion in found.items()}

    for prompts in (CHATS[:12], TEXTS[:12]):
        first = ask(prompts, 1)
        assert len(first) == 36
        assert ask(prompts[:4], 1) == {k: v for k, v in first.items() if int(k[0][4:]) < 4}
        assert ask(prompts, 2) != first
        assert any(first["row-0", 0] != first["row-0", index] for index in (1, 2))


def test_more_prompts_than_one_step_reads_are_sampled_by_their_seeds(engine):
    """vLLM 0.32 dies on a CPU where it reads a prompt in parts for a row with a seed."""
    prompts = [tuple(300 + (i + j) % 100 for j in range(CONTEXT - 24)) for i in range(40)]
    sampling = Sampling(n=2, temperature=0.9, max_tokens=4, seed=3)
    found = by_row(engine.generate(requests(prompts, sampling)))
    assert len(found) == 80
    assert {completion.failure for completion in found.values()} == {None}


def test_what_is_too_long_fails_alone(remote):
    long = "The dog barks. " * 120
    rows = requests([user(long), long, (300,) * CONTEXT, (300,) * (CONTEXT - 1), TEXTS[0]])
    found = {c.id: c.failure and c.failure.reason for c in remote.generate(rows)}
    too_long = dict.fromkeys(["row-0", "row-1", "row-2"], "prompt_too_long")
    assert found == too_long | {"row-3": None, "row-4": None}
    scores = remote.loglikelihood(
        [Continuation("long", long, " It"), Continuation("fits", TEXTS[0], " It")]
    )
    assert {s.id: s.failure and s.failure.reason for s in scores} == {
        "long": "prompt_too_long",
        "fits": None,
    }


REQUEST = """
iterations = 0

{who}

[[evaluations]]
name = "alpaca_eval"
limit = 12
judge_prompt = "microworld_compare"
judge_max_tokens = 24

[[evaluations]]
name = "mt_bench"
max_tokens = 24
judge_max_tokens = 24

[[evaluations]]
name = "nlp_benchmarks"
limit = 12
shots = {{ gsm8k = 5 }}
max_gen_toks = 24

[[evaluations]]
name = "head_to_head"
limit = 12
max_tokens = 24
judge_max_tokens = 24
against = ["{others}"]

[[evaluations]]
name = "judge_agreement"
limit = 3
samples = 2
max_tokens = 24
judges = ["self", "external"]
"""

MEASURED = """
[model]
location = "m0"
[engine]
name = "openai"
base_url = "{url}"
[judge]
engine = "examiner"
model = {{ name = "examiner", location = "examiner" }}
"""

JUDGE = """
[model]
location = "microworld"
[engine]
name = "transformers"
[judge.engine]
name = "openai"
base_url = "{url}"
[judge.model]
name = "judge"
location = "m0"
[judge.guards]
unreadable = 1000
"""


def measure(who, folder):
    """Run the five evaluations of one model, by the command line."""
    others = folder / "others.jsonl"
    others.write_text(
        "".join(
            json.dumps({"prompt": row.prompt, "response": "It is so."}) + "\n"
            for row in datasets.evaluation_prompts()
        )
    )
    request = folder / "request.toml"
    request.write_text(REQUEST.format(who=who, others=others))
    out = folder / "run"
    result = CliRunner().invoke(cli.app, ["run", str(request), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "M0" in (out / "report.md").read_text()
    record = Store(out).record()
    assert record.stopped is None
    return {one.evaluation: one for one in record.stages[0].evaluations}, out


@pytest.fixture(scope="module")
def measured(url, tmp_path_factory):
    """The five evaluations of the model behind the server, judged by the examiner."""
    return measure(MEASURED.format(url=url), tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="module")
def judged(url, tmp_path_factory):
    """The five evaluations of the embedded model, judged by the model behind the server."""
    return measure(JUDGE.format(url=url), tmp_path_factory.mktemp("judged"))


FIVE = {"alpaca_eval", "mt_bench", "nlp_benchmarks", "head_to_head", "judge_agreement"}
HEADLINES = {"alpaca_eval": "win_rate", "mt_bench": "score", "head_to_head": "net_win"}
ASKED = {"alpaca_eval": 12, "mt_bench": 80, "head_to_head": 12}


def metrics(result):
    return {metric.name: metric for metric in result.metrics}


def test_a_model_behind_the_server_is_measured_on_all_five(measured):
    found, out = measured
    assert set(found) == FIVE
    for name, headline in HEADLINES.items():
        metric = metrics(found[name])[headline]
        assert (metric.n, metric.failed) == (ASKED[name], 0)
    benchmarks = metrics(found["nlp_benchmarks"])["mean"]
    assert (benchmarks.n > 100, benchmarks.failed) == (True, 0)
    assert metrics(found["judge_agreement"])["external/pairwise_accuracy"].value > 0.5
    entries = ledger.read(Store(out).books / "ledger.jsonl")
    assert {entry.served for entry in entries if entry.status == "ok"} == {"m0"}


def test_benchmarks_come_out_as_with_our_own_engine(measured, judged):
    """The second run's model is the same M0, by the transformers engine."""
    theirs, ours = (run[0]["nlp_benchmarks"] for run in (measured, judged))
    outcomes = [{one.id: one.outcome for one in result.items} for result in (theirs, ours)]
    print("items:", len(theirs.items))
    assert outcomes[0] == outcomes[1]
    assert theirs.metrics == ours.metrics


def test_a_judge_that_cannot_judge_gives_failures_and_no_number(judged):
    found, out = judged
    assert set(found) == FIVE
    for name, headline in HEADLINES.items():
        metric = metrics(found[name])[headline]
        print(f"{name}:", found[name].failures)
        assert {item.outcome.kind for item in found[name].items} == {"failure"}
        assert (metric.value, metric.n, metric.failed) == (None, 0, ASKED[name])
    external = metrics(found["judge_agreement"])
    assert external["external/failure_rate"].value == 1
    assert external["external/pairwise_accuracy"].value is None
    entries = ledger.read(Store(out).books / "ledger.jsonl")
    assert {entry.status for entry in entries} <= {"ok", "truncated", "empty"}


GREEDY_REQUEST = """
iterations = 0

[engine]
name = "{engine}"
dtype = "float32"

[model]
location = "microworld"

[judge]
engine = "examiner"
model = {{ name = "examiner", location = "examiner" }}

[[evaluations]]
name = "nlp_benchmarks"
limit = 12
shots = {{ gsm8k = 5 }}
max_gen_toks = 24

[[evaluations]]
name = "examiner"
limit = 40
temperature = 0
max_tokens = 24

[[evaluations]]
name = "judge_agreement"
limit = 8
samples = 1
temperature = 0
"""


def test_evaluations_come_out_as_with_the_transformers_engine(vllm_python, tmp_path):
    """By the command line, as a user does, where random numbers play no part."""
    found = {}
    for engine in ("vllm", "transformers"):
        request = tmp_path / f"{engine}.toml"
        request.write_text(GREEDY_REQUEST.format(engine=engine))
        out = tmp_path / engine
        result = CliRunner().invoke(cli.app, ["run", str(request), "--out", str(out)])
        assert result.exit_code == 0, result.output
        stage = Store(out).record().stages[0]
        found[engine] = {one.evaluation: one for one in stage.evaluations}
    theirs, ours = found["vllm"], found["transformers"]
    assert set(theirs) == set(ours) == {"nlp_benchmarks", "examiner", "judge_agreement"}
    for name, result in ours.items():
        print(f"{name}:", len(result.items), "items")
        assert [one.answer for one in theirs[name].items] == [one.answer for one in result.items]
        outcomes = [[one.outcome for one in run[name].items] for run in (theirs, ours)]
        assert outcomes[0] == outcomes[1]
        assert theirs[name].protocol == result.protocol
    for name in ("nlp_benchmarks", "examiner"):
        assert theirs[name].metrics == ours[name].metrics
    assert metrics(ours["nlp_benchmarks"])["mean"].n > 100
    assert metrics(ours["examiner"])["score"].n == 40


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_ray_spreads_it(vllm_python, engine, monkeypatch):
    """vLLM in a worker of Ray writes what it writes here."""
    monkeypatch.setenv("HARNESS_VLLM_PYTHON", vllm_python)
    config = Ray.Config(
        engine={"name": "vllm", "dtype": "float32"}, replicas=1, cluster=Cluster(gpus=0)
    )
    asked = [Request(str(i), user(prompt), GREEDY) for i, prompt in enumerate(PROMPTS)]
    with Ray(config).open(M0) as spread:
        texts = {one.id: one.text for one in spread.generate(asked)}
    assert texts == {one.id: one.text for one in engine.generate(asked)}
