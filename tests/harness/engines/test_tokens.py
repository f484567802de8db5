"""Tokenizing: one BOS, no EOS, the chat template once; seams and stop strings across tokens."""

import pytest
from tokenizers.processors import TemplateProcessing

from harness.checkpoints import chat_ids
from harness.engines import tokens
from harness.engines.loading import load_tokenizer
from harness.engines.tokens import cut, decode_text, encode, encode_continuations, has_stopped
from harness.protocols import Continuation, Message, user
from harness.records import ModelRef
from tests.harness.engines import tiny


def adding_bos_and_eos():  # as Llama's tokenizer with both options on
    made = tiny.tokenizer()
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    assert made("a")["input_ids"] == [1, *plain("a"), 2]
    return made


def plain(text: str) -> list[int]:
    return tiny.tokenizer()(text, add_special_tokens=False)["input_ids"]


def test_a_chat_has_one_bos_though_template_and_tokenizer_both_write_it() -> None:
    [ids] = encode(adding_bos_and_eos(), [user("Hi")])
    assert list(ids) == [1, 3, *plain("Hi"), 4]


def test_text_gets_the_tokenizers_bos_and_no_eos() -> None:
    assert encode(adding_bos_and_eos(), ["Hi"]) == [(1, *plain("Hi"))]
    assert encode(tiny.tokenizer(), ["Hi"]) == [tuple(plain("Hi"))]


def test_text_that_holds_its_bos_or_eos_keeps_one() -> None:
    made = adding_bos_and_eos()
    assert encode(made, ["<s>Hi"]) == [(1, *plain("Hi"))]
    assert encode(made, ["Hi</s>"]) == [(1, *plain("Hi"), 2, 2)]


def test_token_ids_stay_as_they_are() -> None:
    assert encode(adding_bos_and_eos(), [(9, 9, 2)]) == [(9, 9, 2)]


def test_kinds_of_prompts_mix_and_keep_their_order() -> None:
    made = tiny.tokenizer()
    prompts = ["ab", user("ab"), (7, 8), "ab", user("c")]
    assert encode(made, prompts) == [encode(made, [prompt])[0] for prompt in prompts]


@pytest.mark.parametrize("prompt", ["", ()])
def test_an_empty_prompt_starts_from_bos(prompt) -> None:
    assert encode(tiny.tokenizer(), [prompt]) == [(1,)]


def test_a_prompt_is_a_prefix_of_the_conversation_it_was_answered_in() -> None:
    made = adding_bos_and_eos()
    asked = (Message("system", "Be brief."), Message("user", "Hi"))
    whole = chat_ids(made, (*asked, Message("assistant", "Ho")), add_generation_prompt=False)
    prompt = chat_ids(made, asked, add_generation_prompt=True)
    assert encode(made, [asked]) == [tuple(prompt)]
    assert whole == [*prompt, *plain("Ho"), 2]


def test_a_turn_that_the_assistant_has_begun_is_not_closed() -> None:
    made = adding_bos_and_eos()
    begun = (Message("user", "Hi"), Message("assistant", "Score: "))
    assert encode(made, [begun]) == [(*encode(made, [user("Hi")])[0], *plain("Score: "))]
    [pair] = encode_continuations(made, [Continuation("a", begun, "4")])
    assert (*pair.prompt, *pair.continuation) == (*encode(made, [begun])[0], *plain("4"))


def test_continuations_split_where_the_prompt_ends() -> None:
    made = tiny.tokenizer(merges=(("t", "h"), ("Ġ", "a")))
    th, a = made("th")["input_ids"], made(" a")["input_ids"]
    assert len(th) == len(a) == 1
    rows = [
        Continuation("space", "I see ", "a cat"),
        Continuation("seam", "t", "he"),
        Continuation("chat", user("t"), "h"),
        Continuation("ids", (50, 51), "th"),
        Continuation("empty", "", "th"),
    ]
    pairs = {pair.id: pair for pair in encode_continuations(made, rows)}
    assert list(pairs["space"].prompt) == made("I see")["input_ids"]
    assert list(pairs["space"].continuation) == made(" a cat")["input_ids"]
    assert pairs["seam"].prompt == tuple(th)
    assert decode_text(made, list(pairs["seam"].continuation)) == "e"
    assert list(pairs["chat"].prompt) == chat_ids(made, (Message("user", "t"),), True)
    assert list(pairs["chat"].continuation) == made("h")["input_ids"]
    assert (pairs["ids"].prompt, list(pairs["ids"].continuation)) == ((50, 51), th)
    assert (pairs["empty"].prompt, list(pairs["empty"].continuation)) == ((1,), th)


def test_white_space_at_a_templates_end_is_the_continuations() -> None:
    made = tiny.tokenizer(merges=(("Ġ", "a"),))
    made.chat_template = "{{ messages[0]['content'] + ' -> ' }}"
    [chat] = encode_continuations(made, [Continuation("chat", user("b"), "a")])
    assert list(chat.prompt) == made("b ->")["input_ids"]
    assert list(chat.continuation) == made(" a")["input_ids"]
    assert len(chat.continuation) == 1


def test_every_text_is_tokenized_once_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny.tokenizer()
    batch, batches = tokens._batch, []

    def spy(tokenizer, texts, special):
        batches.append(texts)
        return batch(tokenizer, texts, special)

    monkeypatch.setattr(tokens, "_batch", spy)
    rows = [Continuation(f"{i}{c}", f"Question {i}:", c) for i in range(3) for c in "abcd"]
    encode_continuations(made, rows)
    [texts] = [texts for texts in batches if texts]
    assert len(texts) == len(set(texts)) == 3 + 12


def test_continuations_carry_no_second_bos_and_no_eos() -> None:
    [pair] = encode_continuations(adding_bos_and_eos(), [Continuation("x", "Hi", " you")])
    assert (list(pair.prompt), list(pair.continuation)) == ([1, *plain("Hi")], plain(" you"))


def test_a_stop_string_is_met_by_the_token_that_completes_it() -> None:
    made = tiny.tokenizer(merges=(("p", "p"),))
    ids = made("go. stopped on")["input_ids"]
    stopped = [has_stopped(made, ids[: i + 1], ("stop", "never")) for i in range(len(ids))]
    first = stopped.index(True)
    assert decode_text(made, ids[: first + 1]) == "go. stopp"
    assert cut("go. stopped on", ("stop", "never")) == "go. "
    assert cut("go. stopped on", ("on", "stop")) == "go. "
    assert cut("go on", ("stop",)) == "go on"


def test_pieces_join_to_the_text_though_a_character_is_split_between_tokens() -> None:
    made = load_tokenizer(ModelRef(location="microworld"), None, trust_remote_code=False)

    def alone(id: int) -> str:
        return decode_text(made, [id])

    ids = made("Score: 4, naïve 😀", add_special_tokens=False)["input_ids"]
    split = [*ids, made.eos_token_id]
    assert "".join(map(alone, split)) != decode_text(made, split)
    assert len(tokens.pieces(made, split, alone)) == len(split)
    assert "".join(tokens.pieces(made, split, alone)) == "Score: 4, naïve 😀"
    assert tokens.pieces(made, ids[:5], alone) == ["S", "core", ":", " 4", ","]
