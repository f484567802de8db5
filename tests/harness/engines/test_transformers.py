"""The transformers engine against the plain forward pass, and what it does when things go wrong."""

import json
import shutil
import weakref
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

import harness.engines
from harness.checkpoints import chat_text, fingerprint
from harness.engines.loaded_transformers import LoadedTransformers
from harness.engines.transformers import Transformers
from harness.errors import ConfigError, DataError
from harness.protocols import Continuation, Message, Request, Sampling, user
from harness.records import ModelRef
from tests.harness.engines import tiny

BUILT_IN = Path(harness.engines.__file__).parent / "chat_templates"
SAMPLING = Sampling(n=4, temperature=0.7, top_p=0.9, max_tokens=12, seed=5, logprobs=True)
REQUESTS = [Request(str(i), user("Hi " * (1 + i % 5)), SAMPLING) for i in range(9)]


def engine(**options) -> Transformers:
    return Transformers(Transformers.Config(**options))


def at(folder: Path) -> ModelRef:
    return ModelRef(location=str(folder))


def forward_logprobs(model: PreTrainedModel, prompt: tuple[int, ...], ids: tuple[int, ...]):
    """Temperature-1 log-probabilities of ids after a prompt, by one plain forward pass."""
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1)


def other_architectures(folder: Path) -> list[Path]:
    """GPT-2 has learned positions; this Qwen2 looks back over a sliding window in one layer."""
    made = tiny.tokenizer()
    torch.manual_seed(3)
    gpt2 = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(made),
            n_embd=32,
            n_layer=2,
            n_head=2,
            n_positions=64,
            bos_token_id=1,
            eos_token_id=2,
            initializer_range=0.4,
        )
    )
    qwen = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(made),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            use_sliding_window=True,
            sliding_window=8,
            max_window_layers=1,
            bos_token_id=1,
            eos_token_id=2,
            initializer_range=0.3,
        )
    )
    assert qwen.config.layer_types == ["full_attention", "sliding_attention"]
    for name, model in (("gpt2", gpt2), ("qwen2", qwen)):
        model.save_pretrained(folder / name)
        made.save_pretrained(folder / name)
    return [folder / "gpt2", folder / "qwen2"]


def test_sampled_logprobs_are_those_of_a_plain_forward_pass(
    tiny_model: Path, tmp_path: Path
) -> None:
    for folder in (tiny_model, *other_architectures(tmp_path)):
        reference = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        asked = [
            replace(r, sampling=replace(SAMPLING, temperature=i % 3 * 0.7, max_tokens=40))
            for i, r in enumerate(REQUESTS)
        ]
        with engine().open(at(folder)) as model:
            found = list(model.generate(asked))
        assert len(found) == 9 * 4
        for completion in found:
            expected = forward_logprobs(reference, completion.prompt_ids, completion.token_ids)
            ids = torch.tensor(completion.token_ids)
            assert completion.logprobs == pytest.approx(
                expected.gather(-1, ids[:, None])[:, 0].tolist(), abs=2e-4
            )
            if int(completion.id) % 3 == 0:
                assert expected.argmax(-1).tolist() == ids.tolist()


def test_a_row_that_ends_with_the_context_lets_the_others_go_on(tmp_path: Path) -> None:
    gpt2, _ = other_architectures(tmp_path)  # its learned positions end with the context
    rows = [Request(str(i), "ab", replace(SAMPLING, n=1, max_tokens=40)) for i in range(30)]
    with engine().open(at(gpt2)) as model:
        alone = {c.id: c.token_ids for c in model.generate(rows)}
        together = {
            c.id: c for c in model.generate([*rows, replace(rows[0], id="x", prompt="a" * 62)])
        }
    assert together["x"].finish_reason == "length"
    assert len(together.pop("x").token_ids) == 2
    assert {id: c.token_ids for id, c in together.items()} == alone


def test_loglikelihood_is_that_of_a_plain_forward_pass(tiny_model: Path) -> None:
    reference = AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32").eval()
    rows = [
        Continuation(f"{i}", tuple(range(5, 8 + i)), tuple(range(40, 42 + 2 * i))) for i in range(7)
    ]
    with engine(batch_rows=3).open(at(tiny_model)) as model:
        scores = {score.id: score for score in model.loglikelihood(rows)}
    for row in rows:
        expected = forward_logprobs(reference, row.prompt, row.continuation)
        total = expected.gather(-1, torch.tensor(row.continuation)[:, None]).sum()
        assert scores[row.id].logprob == pytest.approx(float(total), abs=1e-3)
        assert scores[row.id].tokens == len(row.continuation)


def watch(model: LoadedTransformers, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Record the shape of every forward pass: rows, new tokens."""
    shapes = []
    inner = model._model()
    forward = inner.forward

    def recording(*args, **kwargs):
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(inner, "forward", recording)
    return shapes


def test_each_prompt_is_read_once_and_finished_rows_leave(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = [replace(r, sampling=replace(SAMPLING, max_tokens=2)) for r in REQUESTS[:8]]
    long = Request("long", user("Hi "), SAMPLING)
    with engine().open(at(tiny_model)) as model:
        shapes = watch(model, monkeypatch)
        finished = [c.id for c in model.generate([*short, long])]
    distinct = len({request.prompt for request in [*short, long]})
    assert [shape for shape in shapes if shape[1] > 1] == [(distinct, 18)]
    assert shapes[1] == (9 * 4, 1)
    assert shapes[-1][0] <= 4
    assert "long" in finished[-4:]


def test_what_prompts_begin_with_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rubric = "Review the answer below with care, and say how good it is. " * 2
    rows = [
        replace(r, prompt=user(rubric + "Hi " * i), sampling=replace(SAMPLING, temperature=i % 2))
        for i, r in enumerate(REQUESTS, start=1)
    ]
    folder = tiny.save(tmp_path / "model", context=256)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    with engine().open(at(folder)) as model:
        alone = [c for row in rows for c in model.generate([row])]
        shapes = watch(model, monkeypatch)
        found = {(c.id, c.index): c for c in model.generate(rows)}
    shared = len(rubric) + len("Hi ") + 2  # and what begins a conversation
    assert [shape for shape in shapes if shape[1] > 1] == [(1, shared), (9, 8 * 3 + 1)]
    assert len(found) == len(alone) == 9 * 4
    for one in alone:
        together = found[one.id, one.index]
        assert (together.prompt_ids, together.token_ids) == (one.prompt_ids, one.token_ids)
        expected = forward_logprobs(reference, one.prompt_ids, one.token_ids)
        ids = torch.tensor(one.token_ids)
        assert together.logprobs == pytest.approx(
            expected.gather(-1, ids[:, None])[:, 0].tolist(), abs=2e-4
        )


def test_completions_come_before_the_batch_is_done(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Request("quick", user("Hi"), replace(SAMPLING, max_tokens=1))
    with engine().open(at(tiny_model)) as model:
        shapes = watch(model, monkeypatch)
        stream = model.generate([*REQUESTS, quick])
        assert next(stream).id == "quick"
        assert len(shapes) == 1
        assert len(list(stream)) == 9 * 4 + 3
        assert len(shapes) > 5


def test_consumers_of_the_stream_can_train(tiny_model: Path) -> None:
    with engine().open(at(tiny_model)) as model:
        for _ in model.generate(REQUESTS[:1]):
            assert not torch.is_inference_mode_enabled()
            weight = torch.ones(1, requires_grad=True)
            (weight * 2).backward()


def test_out_of_memory_halves_the_batch_and_remembers(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine().open(at(tiny_model)) as model:
        undisturbed = {(c.id, c.index): c for c in model.generate(REQUESTS)}
        inner = model._model()
        forward = inner.forward
        calls, refused = count(), []

        def cramped(*args, **kwargs):
            rows = kwargs["input_ids"].shape[0]
            if rows > 10 and next(calls) >= 3:  # after some rows may have finished
                refused.append(rows)
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return forward(*args, **kwargs)

        monkeypatch.setattr(inner, "forward", cramped)
        found = list(model.generate(REQUESTS))
        assert {(c.id, c.index): c.token_ids for c in found} == {
            key: c.token_ids for key, c in undisturbed.items()
        }
        assert len(found) == len(undisturbed)
        assert len(refused) == 2  # 36 rows, then 18; 9 fit
        list(model.generate(REQUESTS))
        assert len(refused) == 2


def test_a_row_that_fits_no_memory_fails_alone(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine().open(at(tiny_model)) as model:
        inner = model._model()
        forward = inner.forward

        def cramped(*args, **kwargs):
            if kwargs["input_ids"].shape[1] > 10:
                raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 1 GiB")
            return forward(*args, **kwargs)

        monkeypatch.setattr(inner, "forward", cramped)
        for completion in model.generate(REQUESTS):
            too_big = len(completion.prompt_ids) > 10
            assert (completion.failure is not None) == too_big
            if completion.failure is not None:
                assert completion.failure.reason == "out_of_memory"
                assert completion.failure.detail == "CUDA out of memory."
        rows = [Continuation(str(i), "a" * i, "bc") for i in (3, 30)]
        scores = {score.id: score.failure for score in model.loglikelihood(rows)}
        assert scores["3"] is None
        assert scores["30"] is not None


def test_every_end_token_of_the_generation_config_ends(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    with engine().open(at(tiny_model)) as model:
        [free, *_] = model.generate([replace(REQUESTS[0], sampling=replace(SAMPLING, n=1))])
    third = free.token_ids[2]
    config = tmp_path / "model" / "generation_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "eos_token_id": [2, third]}))
    with engine().open(at(tmp_path / "model")) as model:
        [ended] = model.generate([replace(REQUESTS[0], sampling=replace(SAMPLING, n=1))])
    assert ended.token_ids == free.token_ids[: free.token_ids.index(third) + 1]
    assert ended.finish_reason == "stop"


def test_the_model_is_given_back(tiny_model: Path) -> None:
    with engine().open(at(tiny_model)) as model:
        inside = weakref.ref(model._model())
        model._model().hook = model._model().forward  # a circle, as hooks and wrappers make them
        stream = model.generate(REQUESTS)
        next(stream)
        del stream
        assert inside() is not None
    assert inside() is None
    with pytest.raises(RuntimeError, match="closed"):
        next(model.generate(REQUESTS))


def test_a_peft_adapter_is_merged_into_its_base(tiny_model: Path, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = get_peft_model(base, config)
    adapted.save_pretrained(tmp_path / "adapter")
    with engine().open(at(tmp_path / "adapter")) as model:
        assert model.ref.fingerprint not in (None, fingerprint(str(tiny_model)))
        found = list(model.generate(REQUESTS[:3]))
    with engine().open(at(tiny_model)) as model:
        plain = {(c.id, c.index): c.token_ids for c in model.generate(REQUESTS[:3])}
    assert {(c.id, c.index): c.token_ids for c in found} != plain
    for completion in found:
        expected = forward_logprobs(adapted, completion.prompt_ids, completion.token_ids)
        ids = torch.tensor(completion.token_ids)
        assert completion.logprobs == pytest.approx(
            expected.gather(-1, ids[:, None])[:, 0].tolist(), abs=2e-4
        )


def test_weights_that_changed_are_refused(tiny_model: Path) -> None:
    recorded = at(tiny_model).model_copy(update={"fingerprint": "0123456789abcdef"})
    with pytest.raises(DataError, match=r"0123456789abcdef.*was recorded"), engine().open(recorded):
        pass


def test_a_diverged_model_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    model.save_pretrained(tmp_path / "model")
    with (
        engine().open(at(tmp_path / "model")) as loaded,
        pytest.raises(DataError, match="diverged"),
    ):
        list(loaded.generate(REQUESTS))


def test_a_missing_chat_template_is_refused_and_can_be_given(
    tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    with engine().open(at(tmp_path / "model")) as model:
        assert model.chat_template is None
        assert len(list(model.generate([replace(REQUESTS[0], prompt="plain text")]))) == 4
        with pytest.raises(DataError, match="option `chat_template`"):
            next(model.generate(REQUESTS))
    template = tmp_path / "template.jinja"
    template.write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    with engine(chat_template=template).open(at(tmp_path / "model")) as model:
        assert model.chat_template is not None
        assert model.count_tokens(user("four")) == 4
    with (
        pytest.raises(DataError, match="nowhere"),
        engine(chat_template=tmp_path / "nowhere").open(at(tiny_model)),
    ):
        pass


def test_the_built_in_template_ends_every_answer_and_begins_each_prompt_alike() -> None:
    made = tiny.tokenizer()
    made.chat_template = (BUILT_IN / "tulu.jinja").read_text()
    turns = (Message("system", "Be kind."), Message("user", "a"), Message("assistant", "b"))
    asked = chat_text(made, turns[:2], add_generation_prompt=True)
    assert asked == "<s><|system|>\nBe kind.\n<|user|>\na\n<|assistant|>\n"
    assert chat_text(made, turns, add_generation_prompt=False) == asked + "b</s>"
    longer = chat_text(made, (*turns, Message("user", "c")), add_generation_prompt=True)
    assert longer == asked + "b</s>\n<|user|>\nc\n<|assistant|>\n"


def test_a_built_in_template_goes_by_its_name(tiny_model: Path) -> None:
    with engine(chat_template=Path("tulu")).open(at(tiny_model)) as model:
        [made] = model.generate([replace(REQUESTS[0], prompt=user("Hi"), sampling=Sampling(n=1))])
        # With BOS, and without line breaks, which this tokenizer does not know.
        assert len(made.prompt_ids) == 1 + len("<|user|>Hi<|assistant|>")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", '{"model_type": "no_such"}'),
        ("model.safetensors", "torn"),
        ("config.json", "{"),
    ],
)
def test_broken_files_are_one_line_errors(
    tiny_model: Path, tmp_path: Path, file: str, content: str
) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model" / file).write_text(content)
    with pytest.raises(DataError) as caught, engine().open(at(tmp_path / "model")):
        pass
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "model") in str(caught.value)


def test_an_unknown_device_is_refused(tiny_model: Path) -> None:
    for name in ("cuda:99", "abacus"):
        with pytest.raises(ConfigError, match=name), engine(device=name).open(at(tiny_model)):
            pass
