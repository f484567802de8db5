"""The same figures as lm-eval's own Hugging Face backend, on the same items and weights."""

import contextlib
import io
import logging

import pytest
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from evals.nlp_benchmarks.benchmarks import BENCHMARKS, NAMES
from evals.nlp_benchmarks.results import figures
from evals.nlp_benchmarks.running import run
from evals.nlp_benchmarks.settings import Settings
from evals.nlp_benchmarks.tasks import load
from harness.engines.tokens import encode_continuations
from harness.engines.transformers import Transformers
from harness.protocols import Continuation
from harness.records import ModelRef
from tests.harness.engines import tiny

CONTEXT = 400
PLAIN = Settings(
    limit=3,
    preset="open_llm_leaderboard",
    shots={"arc_challenge": 2, "hellaswag": 1, "mmlu": 2, "gsm8k": 8, "nq": 2},
    max_gen_toks=12,
    too_long="truncate",
)
CHAT = PLAIN.model_copy(
    update={"shots": dict.fromkeys(NAMES, 0) | {"nq": 1}, "chat_template": True, "too_long": "fail"}
)
TEMPLATE = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}<s>\n"


class Reference(HFLM):
    max_gen_toks = PLAIN.max_gen_toks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny.save(tmp_path_factory.mktemp("parity") / "model", CONTEXT)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    engine = Transformers(Transformers.Config(device="cpu"))
    with engine.open(ModelRef(location=str(folder))) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def reference(folder):
    weights = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Reference(pretrained=weights, tokenizer=tokenizer, batch_size=4)


def upstream(name, settings, reference):
    """What lm-eval itself makes of it."""
    tasks = load(BENCHMARKS[name], settings.data, settings.shots_of(name))
    chat = settings.chat_template
    with contextlib.redirect_stderr(io.StringIO()):
        return evaluate(
            reference,
            tasks,
            limit=settings.limit,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
        )


@pytest.mark.parametrize("settings", [PLAIN, CHAT], ids=["plain", "chat"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_answers_and_figures(name, settings, model, reference, log, caplog) -> None:
    caplog.set_level(logging.ERROR, "lm_eval")
    found = run(name, settings, model, log())
    expected = upstream(name, settings, reference)
    assert not found.failed
    for task, samples in expected["samples"].items():
        for one, other in zip(samples, found.raw["samples"][task], strict=True):
            assert one["doc"] == other["doc"]
            for [said], [ours] in zip(one["resps"], other["resps"], strict=True):
                if isinstance(said, str):
                    assert ours == said
                else:
                    assert ours == (pytest.approx(said[0], abs=1e-4), said[1])
    for task, made in figures(found).items():
        numbers = {key: value for key, value in made.items() if isinstance(value, float)}
        assert numbers
        for key, value in numbers.items():
            assert value == pytest.approx(expected["results"][task][key], abs=1e-6)


@pytest.mark.parametrize("name", ["mmlu", "gsm8k"])
def test_some_of_these_contexts_were_cut(name, model, log) -> None:
    settings = PLAIN.model_copy(update={"too_long": "fail"})
    failures = run(name, settings, model, log()).failed.values()
    assert {failure.reason for failure in failures} == {"prompt_too_long"}


@pytest.mark.parametrize("adds_bos", [False, True])
def test_pairs_are_tokenized_as_upstream(adds_bos, reference, folder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if adds_bos:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    upstreams = Reference(pretrained=reference.model, tokenizer=tokenizer, batch_size=4)
    rows = [("Question: a\nAnswer:", " b"), ("a b ", "c"), ("a\n\n", "b c"), ("<s>a", "b")]
    pairs = encode_continuations(tokenizer, [Continuation("", *row) for row in rows])
    for pair, row in zip(pairs, rows, strict=True):
        before, after = upstreams._encode_pair(*row)
        assert (list(pair.prompt), list(pair.continuation)) == (before, after)
