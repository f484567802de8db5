"""Scoring continuations that share prompts, and prompts that share beginnings."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from harness.engines.scoring import queues, score, take_pairs
from harness.engines.tokens import Pair
from tests.harness.engines import tiny

BEGINNING = tuple(range(5, 75))
CHOICES = ((11,), (12, 13), (14, 15, 16, 17, 18, 19, 20), (13,), (12, 14))


def gpt2() -> PreTrainedModel:
    """Learned positions: wrong ones give wrong scores."""
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=102, n_embd=32, n_layer=2, n_head=2, n_positions=128, initializer_range=0.4
    )
    return GPT2LMHeadModel(config).eval()


def sliding() -> PreTrainedModel:
    """One layer looks back over 8 tokens only, padding included if it stands in between."""
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=102,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=1,
        initializer_range=0.3,
    )
    return Qwen2ForCausalLM(config).eval()


MODELS = {"llama": lambda: tiny.llama(102, context=128), "gpt2": gpt2, "sliding": sliding}


def pairs(*prompts: tuple[int, ...]) -> list[Pair]:
    return [
        Pair(f"{i}/{k}", prompt, choice)
        for i, prompt in enumerate(prompts)
        for k, choice in enumerate(CHOICES)
    ]


SHORT = [tuple(range(5 + i, 12 + 3 * i)) for i in range(4)]
LONG = [(*BEGINNING, *range(40 + i, 45 + 2 * i)) for i in range(4)]


@torch.inference_mode()
def one_by_one(model: PreTrainedModel, batch: list[Pair]) -> list[tuple[float, bool]]:
    found = []
    for pair in batch:
        logits = model(torch.tensor([[*pair.prompt, *pair.continuation]])).logits[0]
        logprobs = logits.log_softmax(-1)[len(pair.prompt) - 1 : -1]
        ids = torch.tensor(pair.continuation)
        total = logprobs.gather(-1, ids[:, None]).sum()
        found.append((float(total), bool((logprobs.argmax(-1) == ids).all())))
    return found


@pytest.mark.parametrize("architecture", MODELS)
@pytest.mark.parametrize(
    "batch",
    [
        pairs(*SHORT),
        pairs(*LONG),
        pairs(*LONG, *SHORT),
        [pair for pair in pairs(*LONG) if pair.id.endswith("/1")],
        [pair for pair in pairs(*SHORT) if pair.id.endswith("/2")],
        [pair for pair in pairs(*SHORT) if len(pair.continuation) == 1],
        pairs(SHORT[0]),
        pairs(LONG[0])[:1],
        pairs(BEGINNING, *LONG),
    ],
    ids=[
        "shared prompts",
        "a shared beginning",
        "both",
        "one choice a prompt, a shared beginning",
        "one choice a prompt",
        "one token a choice",
        "one prompt",
        "one pair",
        "a prompt that is the beginning of all others",
    ],
)
def test_scores_are_those_of_each_alone(architecture: str, batch: list[Pair]) -> None:
    model = MODELS[architecture]()
    expected = one_by_one(model, batch)
    found = score(model, batch, pad=0)
    assert [one.id for one in found] == [pair.id for pair in batch]
    assert [one.logprob for one in found] == pytest.approx([t for t, _ in expected], abs=1e-4)
    assert [one.greedy for one in found] == [greedy for _, greedy in expected]
    assert [one.tokens for one in found] == [len(pair.continuation) for pair in batch]


@torch.inference_mode()
def greedy(model: PreTrainedModel, prompt: tuple[int, ...], count: int) -> tuple[int, ...]:
    found: list[int] = []
    for _ in range(count):
        found.append(int(model(torch.tensor([[*prompt, *found]])).logits[0, -1].argmax()))
    return tuple(found)


def test_greedy_continuations_are_told() -> None:
    model, prompt = MODELS["llama"](), SHORT[2]
    best = greedy(model, prompt, 4)
    other = (best[0] + 1) % 102
    batch = [
        Pair("best", prompt, best),
        Pair("first", prompt, best[:1]),
        Pair("all but the last", prompt, (*best[:3], (best[3] + 1) % 102)),
        Pair("all but the first", prompt, (other, *greedy(model, (*prompt, other), 3))),
    ]
    assert [one.greedy for one in score(model, batch, 0)] == [True, True, False, False]


def test_prompts_and_what_they_share_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["llama"]()
    forward, shapes = model.forward, []

    def recording(*args, **kwargs):
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", recording)
    score(model, pairs(*SHORT), 0)
    # Four prompts, then choices of two tokens, of which one is read, and of seven.
    assert shapes == [(4, 13), (8, 1), (4, 6)]
    shapes.clear()
    score(model, pairs(*LONG), 0)
    assert shapes == [(1, 70), (4, 8), (8, 1), (4, 6)]
    shapes.clear()
    score(model, [pair for pair in pairs(*LONG) if len(pair.continuation) == 1], 0)
    assert shapes == [(1, 70), (4, 8)]


def test_prompts_that_begin_alike_are_batched_apart() -> None:
    few = [(*range(7, 80), i) for i in range(3)]
    [others, family] = queues(pairs(*SHORT, *LONG, *few))
    assert {pair.prompt for pair in family} == set(LONG)
    assert {pair.prompt for pair in others} == {*SHORT, *few}
    for queue in (others, family):
        lengths = [len(pair.prompt) for pair in queue]
        assert lengths == sorted(lengths, reverse=True)
        prompts = [pair.prompt for pair in queue][:: len(CHOICES)]
        assert [pair.prompt for pair in queue] == [p for p in prompts for _ in CHOICES]


def test_batches_keep_to_rows_tokens_and_logits() -> None:
    [queue] = queues(pairs(*SHORT))
    longest = max(map(len, SHORT)) + 7
    assert len(take_pairs(queue, rows=3, tokens=10_000, vocabulary=102)) == 3
    assert len(take_pairs(queue, rows=99, tokens=4 * longest, vocabulary=102)) >= 4
    assert len(take_pairs(queue, rows=99, tokens=1, vocabulary=102)) == 1
    assert len(take_pairs(queue, rows=99, tokens=10_000, vocabulary=1 << 30)) == 1


def test_a_saved_model_scores_alike_in_any_batches(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32").eval()
    [queue] = queues(pairs(*SHORT))
    expected = {one.id: one.logprob for one in score(model, list(queue), 0)}
    while queue:
        for one in score(model, take_pairs(queue, rows=3, tokens=999, vocabulary=102), 0):
            assert one.logprob == pytest.approx(expected[one.id], abs=1e-4)
