"""Prompts into token ids, and token ids into text.

    (Message("user", "Hi"),)    the chat template, once; the tokenizer adds nothing to it
    (..., Message("assistant", "Score:"))   the same, and the turn's text as it stands, to go on
    "Once upon a"               as in pretraining: with the tokenizer's BOS where it has one, no EOS
    (2, 41, 3)                  as it is

Each kind of prompt is tokenized here and nowhere else.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from transformers import PreTrainedTokenizerBase

from harness.checkpoints import chat_text
from harness.protocols import Continuation, Message, Prompt

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """A tokenized prompt, never empty, and the continuation to score after it."""

    id: str
    prompt: Ids
    continuation: Ids

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.continuation)


def encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[Ids]:
    """Tokenize prompts for generation; an empty one starts from BOS, or EOS where there is none."""
    chats = [p for p in prompts if _is_chat(p)]
    texts = [p for p in prompts if isinstance(p, str)]
    rendered = [_chat(tokenizer, cast(tuple[Message, ...], chat)) for chat in chats]
    found: dict[Prompt, Ids] = dict(zip(chats, _batch(tokenizer, rendered, False), strict=True))
    found.update(zip(texts, _texts(tokenizer, texts), strict=True))
    start = (_start(tokenizer),)
    return [found.get(prompt, cast(Ids, prompt)) or start for prompt in prompts]


def encode_continuations(
    tokenizer: PreTrainedTokenizerBase, requests: Iterable[Continuation]
) -> list[Pair]:
    """Tokenize prompts with their continuations.

    Text after text is tokenized whole and split where the prompt alone ends, so that a token
    across the seam is the one the model was trained on; white space at the end of the prompt, the
    last line break of a chat template too, counts as the continuation's (lm-evaluation-harness,
    `TemplateLM._encode_pair`).
    """
    asked = list(requests)
    prompts = [request.prompt for request in asked if not isinstance(request.continuation, str)]
    encoded = dict(zip(prompts, encode(tokenizer, prompts), strict=True))
    # The choices of a question share its prompt: every text is tokenized once, all in one batch.
    texts: dict[Prompt, str] = {}
    documents: dict[str, Ids] = {}
    rendered: dict[str, Ids] = {}
    for request in asked:
        if isinstance(request.continuation, str):
            if request.prompt not in texts:
                texts[request.prompt] = _text(tokenizer, request.prompt)
            text = texts[request.prompt]
            kind = documents if isinstance(request.prompt, str) else rendered
            kind.update({text.rstrip(): (), text + request.continuation: ()})
    documents.update(zip(documents, _texts(tokenizer, list(documents)), strict=True))
    rendered.update(zip(rendered, _batch(tokenizer, list(rendered), False), strict=True))
    pairs = []
    for request in asked:
        prompt, continuation = request.prompt, request.continuation
        if isinstance(continuation, str):
            text = texts[prompt]
            kind = documents if isinstance(prompt, str) else rendered
            whole, seam = kind[text + continuation], len(kind[text.rstrip()])
            given = () if text else cast(Ids, prompt)
            before = whole[:seam] or given or (_start(tokenizer),)
            pairs.append(Pair(request.id, before, whole[seam:]))
        else:
            pairs.append(Pair(request.id, encoded[prompt], continuation))
    return pairs


def decode_text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    """Decode what was sampled, without special tokens."""
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def pieces(
    tokenizer: PreTrainedTokenizerBase, ids: list[int], alone: Callable[[int], str]
) -> list[str]:
    """Decode token by token; joined, the pieces are the decoded text.

    Args:
        tokenizer: What decodes.
        ids: What was sampled.
        alone: Decodes a token alone. It may read differently so: a leading space is lost, a
            character's bytes are split. Then the pieces are cut out of the whole.
    """
    text = decode_text(tokenizer, ids)
    apart = [alone(id) for id in ids]
    if "".join(apart) == text:
        return apart
    ends = [len(decode_text(tokenizer, ids[:end])) for end in range(len(ids) + 1)]
    return [text[start:end] for start, end in pairwise(ends)]


def cut(text: str, stop: Sequence[str]) -> str:
    """Cut a text before the first stop string in it."""
    return text[: min((text.find(string) for string in stop if string in text), default=None)]


def has_stopped(tokenizer: PreTrainedTokenizerBase, ids: list[int], stop: Sequence[str]) -> bool:
    """Whether the last sampled token completes a stop string, however its tokens fall."""
    # Every token that shows at all is a byte or more, so these hold the longest stop string.
    window = max(len(string.encode()) for string in stop) + 8
    recent = decode_text(tokenizer, ids[-window:])
    if not any(string in recent for string in stop):
        return False
    text = decode_text(tokenizer, ids)  # the window may begin inside a word and read differently
    return any(string in text for string in stop)


def _text(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """Write a prompt as text; one of token ids has none."""
    if isinstance(prompt, str):
        return prompt
    return _chat(tokenizer, cast(tuple[Message, ...], prompt)) if _is_chat(prompt) else ""


def _chat(tokenizer: PreTrainedTokenizerBase, turns: tuple[Message, ...]) -> str:
    """Write a conversation up to where the assistant goes on.

    What the assistant has begun to say follows the template's text: templates close a turn that
    they are given, and some of them trim it.
    """
    if turns[-1].role != "assistant":
        return chat_text(tokenizer, turns, True)
    return chat_text(tokenizer, turns[:-1], True) + turns[-1].content


def _is_chat(prompt: Prompt) -> bool:
    return not isinstance(prompt, str) and bool(prompt) and isinstance(prompt[0], Message)


def _batch(tokenizer: PreTrainedTokenizerBase, texts: list[str], special: bool) -> list[Ids]:
    if not texts:
        return []
    encoded = tokenizer(texts, add_special_tokens=special, verbose=False)["input_ids"]
    return [tuple(ids) for ids in encoded]


def _texts(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[Ids]:
    """Tokenize documents that go on: without EOS, and with one BOS even where the text has it."""
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    encoded = []
    for text, ids in zip(texts, _batch(tokenizer, texts, True), strict=True):
        if ids and ids[-1] == eos and not text.endswith(str(tokenizer.eos_token)):
            ids = ids[:-1]
        if bos is not None and ids[:2] == (bos, bos):
            ids = ids[1:]
        encoded.append(ids)
    return encoded


def _start(tokenizer: PreTrainedTokenizerBase) -> int:
    special = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return next(id for id in special if isinstance(id, int))
