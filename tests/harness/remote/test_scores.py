import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.protocols import Continuation
from harness.records import Failure
from harness.remote.answers import Token
from harness.remote.scores import continuation_tokens


def read_back(*texts, first=math.nan):
    """Tokens as a server reads them back, each a little less likely than the one before."""
    values = [first, *(-float(place) for place in range(1, len(texts)))]
    return [Token(text, value, ((text, value),)) for text, value in zip(texts, values, strict=True)]


def found(tokens, prompt, continuation, more=1):
    """Find a continuation, where `more` tokens were generated after it."""
    result = continuation_tokens(
        tokens, len(tokens) - more, Continuation("c", prompt, continuation)
    )
    return result if isinstance(result, Failure) else [token.text for token in result]


@pytest.mark.parametrize(
    ("texts", "prompt", "continuation", "expected"),
    [
        (["The", " sky", " is", " blue", "!"], "The sky", " is blue", [" is", " blue"]),
        # White space at the end of the prompt belongs to the continuation.
        (["A", ":", " ", "B", "!"], "A: ", "B", [" ", "B"]),
        (["A", ":", " B", "!"], "A: ", "B", [" B"]),
        (["A", ":", "\n", "\n", "B", "!"], "A:\n\n", "B", ["\n", "\n", "B"]),
        # And the continuation's own at its end, but not what was generated.
        (["A", " B", "\n", "\n"], "A", " B\n", [" B", "\n"]),
        # A token across the seam is the continuation's.
        (["un", "believ", "able", "!"], "unbel", "ievable", ["believ", "able"]),
        # A BOS token is read back with the text, and has no part in it.
        (["<s>", "The", " sky", "!"], "The", " sky", [" sky"]),
        (["<s>", "The", " sky", "!"], "", "The sky", ["The", " sky"]),
        # Single tokens without the space that they begin with.
        (["<s>", "The", "sky", "is", "!"], "The sky", " is", ["is"]),
        (["The", "sky", "is", "!"], "The sky ", "is", ["is"]),
        # A character in several tokens, of which the last one has it.
        (["The", "", "é", "!"], "The", "é", ["", "é"]),
        (["The", "", "é", " x", "!"], "Theé", " x", [" x"]),
        # The same words before and after the seam, and as what was generated.
        (["a", " a", " a", " a"], "a a", " a", [" a"]),
    ],
)
def test_the_tokens_of_a_continuation(texts, prompt, continuation, expected):
    assert found(read_back(*texts), prompt, continuation) == expected


def test_token_ids_are_counted():
    tokens = read_back("a", "b", "c", "d", "!")
    assert found(tokens, (1, 2), (3, 4)) == ["c", "d"]
    assert found(tokens, (1, 2), (3,)).reason == "no_likelihood"  # the server added one
    assert found(tokens[:4], (1, 2), (3, 4), more=0) == ["c", "d"]


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (continuation_tokens(None, 3, Continuation("c", "a", "b")), "does not tell how likely"),
        (found(read_back("x"), "a", "b", more=-2), "does not tell how likely"),
        (
            continuation_tokens(read_back("a", "b"), None, Continuation("c", "a", "b")),
            "does not tell how likely",
        ),
        (found(read_back("a", "�", "�", "!"), "a", "é"), "do not add up"),
        (found(read_back("a", "b", "!"), "", "ab"), "the first token"),
        (found(read_back("a", ".\n", "!"), "a.", "\n"), "in a token of the prompt's"),
        (
            continuation_tokens([Token("a", -1, ()), Token("b", -1, ())], 2,
                                Continuation("c", "a", "b")),
            "the likeliest",
        ),
    ],
)  # fmt: skip
def test_what_does_not_add_up_has_no_likelihood(result, why):
    assert result.reason == "no_likelihood"
    assert why in result.detail


@given(
    st.lists(st.sampled_from(["a", " a", "b", " ", "\n", "ab", " ba"]), min_size=2, max_size=9),
    st.data(),
)
def test_wherever_a_text_is_parted_its_tokens_are(texts, data):
    text = "".join(texts)
    seam = data.draw(st.integers(0, len(text) - 1))
    prompt, continuation = text[:seam], text[seam:]
    tokens = read_back(*texts, "a", first=-1.0)
    result = continuation_tokens(tokens, len(texts), Continuation("c", prompt, continuation))
    kept = "".join(token.text for token in result)
    assert text.endswith(kept)
    # All of the continuation is there, and before it at most white space and a part of a token.
    assert len(kept) >= len(continuation)
    first = len(texts) - len(result)
    assert "".join(texts[:first]).rstrip() == text[: len(text) - len(kept)].rstrip()
    assert len("".join(texts[: first + 1]).rstrip()) > len(prompt.rstrip()) or not (
        texts[first].strip()
    )
