"""Rows into tokens: exactly what the engine prompts with, and one end token, whatever template."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from harness.data.examples import Demonstration
from harness.engines.loading import load_tokenizer
from harness.engines.tokens import encode
from harness.engines.transformers import Transformers
from harness.errors import DataError
from harness.judge import pointwise
from harness.protocols import Request, Sampling, user
from harness.records import ModelRef
from tests.harness.engines import tiny
from training.self_rewarding.seeds import Judgement
from training.self_rewarding.tokens import Tokenizer

END = 2
ROW = Demonstration("1", "  Why is it so?  ", "  Because it is. ")

TURNS = "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] }}{% endfor %}"
TEMPLATES = {
    "plain": tiny.TEMPLATE,
    "writes on after the end": (
        "{{ '<s>' }}{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] + '</s>' }}"
        "{{ 'and so on</s>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
    ),
    "trims": (
        "{% for m in messages %}{{ '<' + m['role'] + '>' + (m['content'] | trim) }}"
        "{% if m['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
    ),
    "has no end": TURNS + "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
    "opens otherwise": (
        TURNS + "{% if add_generation_prompt %}{{ '<assistant>think:' }}{% endif %}"
    ),
}
ANSWERS = dict.fromkeys(TEMPLATES, "  Because it is. ") | {"trims": "Because it is."}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("tokens") / "model")


def with_template(model: Path, folder: Path, template: str | None) -> ModelRef:
    shutil.copytree(model, folder)
    file = folder / "chat_template.jinja"
    if template is None:
        file.unlink()
    else:
        file.write_text(template)
    return ModelRef(location=str(folder))


@pytest.mark.parametrize("name", TEMPLATES)
def test_prompts_are_the_engines_and_completions_end_once(
    name: str, model: Path, tmp_path: Path
) -> None:
    ref = with_template(model, tmp_path / "model", TEMPLATES[name])
    [example] = Tokenizer(ref).demonstrations([ROW])
    backend = load_tokenizer(ref, None, False)
    assert [example.prompt_ids] == encode(backend, [user(ROW.prompt)])
    assert example.completion_ids[-1] == END
    assert example.completion_ids.count(END) == 1
    assert backend.decode(example.completion_ids[:-1]) == ANSWERS[name]


TURN = "<turn>"
WRITES_TURN = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] + '<turn> ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def with_turn(model: Path, folder: Path, template: str, ends: object) -> tuple[ModelRef, int]:
    """Save as ChatML models are: a turn's end is a token beside the tokenizer's end token."""
    shutil.copytree(model, folder)
    made = tiny.tokenizer()
    made.add_tokens([TURN], special_tokens=True)
    made.chat_template = template
    made.save_pretrained(folder)
    turn = made.convert_tokens_to_ids(TURN)
    assert (turn, made.eos_token_id) == (len(tiny.tokenizer()), END)
    file = folder / "generation_config.json"
    if ends is None:
        file.unlink()
    else:
        ids = {"turn": turn, "end": END}
        config = ids[ends] if isinstance(ends, str) else [ids[name] for name in ends]
        file.write_text(json.dumps({"eos_token_id": config}))
    return ModelRef(location=str(folder)), turn


@pytest.mark.parametrize("ends", [("turn", "end"), ("end", "turn"), "turn"])
def test_a_completion_ends_with_the_first_token_that_ends_an_answer(
    ends: object, model: Path, tmp_path: Path
) -> None:
    ref, turn = with_turn(model, tmp_path / "model", WRITES_TURN, ends)
    [example] = Tokenizer(ref).demonstrations([ROW])
    assert example.completion_ids[-1] == turn
    assert example.completion_ids.count(turn) == 1
    assert END not in example.completion_ids
    answer = load_tokenizer(ref, None, False).decode(example.completion_ids[:-1])
    assert answer == ROW.response


@pytest.mark.parametrize(
    ("template", "ends", "written"),
    [
        (WRITES_TURN, "end", "  Because it is. <turn> </s>"),  # nothing says that it ends a turn
        (WRITES_TURN, None, "  Because it is. <turn> </s>"),
        (TEMPLATES["has no end"], ("turn", "end"), "  Because it is. </s>"),
        (WRITES_TURN.replace("<turn>", "</s><turn>"), ("turn", "end"), "  Because it is. </s>"),
    ],
)
def test_otherwise_it_ends_with_the_tokenizers_end_token(
    template: str, ends: object, written: str, model: Path, tmp_path: Path
) -> None:
    ref, _ = with_turn(model, tmp_path / "model", template, ends)
    [example] = Tokenizer(ref).demonstrations([ROW])
    assert load_tokenizer(ref, None, False).decode(example.completion_ids) == written
    assert example.completion_ids.count(END) == 1


def test_prompts_are_those_that_a_loaded_model_reads(model: Path, tmp_path: Path) -> None:
    ref = with_template(model, tmp_path / "model", TEMPLATES["trims"])
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Judge {response} to {instruction}")
    own = pointwise(str(rubric))
    tokenizer = Tokenizer(ref)
    [shown] = tokenizer.demonstrations([ROW])
    judgement = Judgement("Why {response}?", "So.", "Fine. Score: 4", 4.0)
    [taught] = tokenizer.judgements([judgement], own)
    asked = own.prompt({"instruction": judgement.prompt, "response": judgement.response})
    prompts = {"shown": user(ROW.prompt), "taught": asked}
    with Transformers(Transformers.Config()).open(ref) as loaded:
        tokenizer.check_template(loaded.chat_template)
        sampling = Sampling(max_tokens=1)
        requests = [Request(id, prompt, sampling) for id, prompt in prompts.items()]
        read = {done.id: done.prompt_ids for done in loaded.generate(requests)}
    assert read == {"shown": shown.prompt_ids, "taught": taught.prompt_ids}


def test_a_tokenizer_that_marks_word_beginnings_adds_none_at_the_seam(
    model: Path, tmp_path: Path
) -> None:
    """As SentencePiece's do: alone, the answer would begin with a space that nobody wrote."""
    shutil.copytree(model, tmp_path / "model")
    symbols = [*tiny.SPECIALS, "▁", *map(chr, range(33, 127))]
    backend = Backend(models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = decoders.Metaspace(prepend_scheme="never")
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=tiny.PAD,
        bos_token=tiny.BOS,
        eos_token=tiny.END,
        chat_template=(
            "{% for m in messages %}{{ '[I]' + m['content'] + '[/I]' if m['role'] == 'user' else "
            "m['content'] + '</s>' }}{% endfor %}"
        ),
    ).save_pretrained(tmp_path / "model")
    [example] = Tokenizer(ModelRef(location=str(tmp_path / "model"))).demonstrations(
        [Demonstration("1", "Why?", "So.")]
    )
    assert backend.decode(list(example.completion_ids), skip_special_tokens=False) == "So.</s>"


def test_a_token_across_the_seam_is_not_torn_out_of_the_prompt(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    made = tiny.tokenizer(merges=((":", "S"),))
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    made.chat_template = "{% for m in messages %}{{ m['role'] + ':' + m['content'] }}{% endfor %}"
    made.chat_template += "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    made.save_pretrained(tmp_path / "model")
    assert len(made(":S")["input_ids"]) == 1
    [example] = Tokenizer(ModelRef(location=str(tmp_path / "model"))).demonstrations(
        [Demonstration("1", "Why?", "So.")]
    )
    assert made.decode(example.prompt_ids) == "user:Why?assistant:"
    assert made.decode(example.completion_ids) == "So.</s>"


def test_without_a_chat_template_it_says_what_to_do(model: Path, tmp_path: Path) -> None:
    ref = with_template(model, tmp_path / "model", None)
    with pytest.raises(DataError, match=r"no chat template.*chat_template\.jinja") as caught:
        Tokenizer(ref)
    assert "\n" not in str(caught.value)
    file = tmp_path / "own.jinja"
    file.write_text(tiny.TEMPLATE)
    own = Tokenizer(ref, file).demonstrations([ROW])
    assert own == Tokenizer(ModelRef(location=str(model))).demonstrations([ROW])


def test_the_engine_must_use_the_same_template(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(TEMPLATES["trims"])
    ref = ModelRef(location=str(model))
    with Transformers(Transformers.Config(chat_template=file)).open(ref) as loaded:
        Tokenizer(ref, file).check_template(loaded.chat_template)
        with pytest.raises(DataError, match=r"name the same file .* trainer\.chat_template"):
            Tokenizer(ref).check_template(loaded.chat_template)


def test_without_an_end_token_it_says_what_to_do(model: Path, tmp_path: Path) -> None:
    ref = with_template(model, tmp_path / "model", tiny.TEMPLATE)
    file = tmp_path / "model" / "tokenizer_config.json"
    config = json.loads(file.read_text())
    del config["eos_token"]
    file.write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"has no end token; set `eos_token`"):
        Tokenizer(ref)


def test_a_context_too_short_for_the_judge_prompt_is_found_at_once(
    model: Path, tmp_path: Path
) -> None:
    tokenizer = Tokenizer(ModelRef(location=str(model)))
    assert tokenizer.context == 96
    file = tmp_path / "short.txt"
    file.write_text("Judge {instruction} {response}")
    short = pointwise(str(file))
    prompt = len(["<s", "<user", ""]) - 1 + len("Judge  ") + len(["<assistant>"])
    tokenizer.check_room(short, 96 - prompt)
    with pytest.raises(
        DataError, match=r"context too short for the judge prompt.* up to 87.*context of M0 is 96"
    ):
        tokenizer.check_room(short, 97 - prompt)
    with pytest.raises(DataError, match=r"context too short .* 'five_points'"):
        tokenizer.check_room(pointwise("five_points"), 1)
