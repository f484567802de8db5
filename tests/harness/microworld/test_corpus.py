"""The pretraining text keeps held-out facts out of its questions, and verdicts out altogether."""

import hashlib
import re
from itertools import islice
from random import Random

from harness.microworld.answers import REMARKS
from harness.microworld.corpus import document, documents
from harness.microworld.items import is_held_out, parse

DRAWS = 4_000
MARKERS = re.compile(r"Question: | Answer: |Q: | A: | Is it true\?| Someone says: ")


def texts(seed, count=DRAWS):
    return list(islice(documents(Random(seed)), count))


def test_no_question_is_about_a_held_out_fact():
    asked = []
    for text in texts("held out"):
        parts = [part.strip() for part in MARKERS.split(text)]
        # A bare prompt is followed by its answer: try every sentence end.
        ends = [text[: match.end()] for match in re.finditer(r"[.?]", text)]
        asked += [item for prompt in parts + ends if (item := parse(prompt))]
    assert len(asked) > DRAWS / 2
    assert not any(is_held_out(item) for item in asked)


def test_held_out_facts_are_stated():
    stated = " ".join(texts("stated"))
    assert is_held_out(parse("What sound does the lion make?"))
    assert "The lion roars." in stated


def test_a_review_never_gives_away_the_verdict():
    words = [said for pair in REMARKS.values() for said in pair]
    comments = 0
    for text in texts("reviews"):
        assert "Score" not in text
        if " Comment: " in text:
            comments += 1
            said = text.rsplit(" Comment: ", 1)[1].removesuffix(".").split(", ")
            assert 1 <= sum(part in words for part in said) <= 3
    assert 0.2 < comments / DRAWS < 0.3


def test_documents_are_short():
    lengths = [len(text.split()) for text in texts("lengths")]
    assert sum(lengths) / len(lengths) < 30
    assert max(lengths) < 200


def test_the_corpus_is_the_one_that_m0_was_trained_on():
    digest = hashlib.sha256("\n".join(texts("corpus-0-1", 2_000)).encode()).hexdigest()
    assert digest[:16] == "ff3e46451f3c89f5", (
        "the weights in m0/ come from another corpus: pretrain them anew"
    )


def test_the_same_seed_writes_the_same_document():
    assert document(Random(7)) == document(Random(7))
