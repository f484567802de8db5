import base64
import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from reports.html import packing
from reports.html.packing import pack
from reports.html.samples import Entry, Sample, Sampled, Text


def unpacked(text: str):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def evaluation(*texts: str) -> Sampled:
    samples = tuple(
        Sample(f"s{k}", None, text, (), (Entry("M0", None, 1.0, None, text, (Text("x", text),)),))
        for k, text in enumerate(texts)
    )
    return Sampled("e", "E", samples, len(samples))


def test_every_text_is_kept_once():
    packed = pack([evaluation("one", "two", "one")], ["M0"], ["M0"], 10**6)
    [block] = map(unpacked, packed.blocks)
    assert block == ["one", "two"]
    index = unpacked(packed.index)
    assert [sample[3] for sample in index["evaluations"][0]["samples"]] == [0, 1, 0]
    assert index["starts"] == [0]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=12), st.integers(1, 60))
def test_blocks_hold_all_texts_in_order(texts, size):
    before, packing.BLOCK = packing.BLOCK, size
    try:
        packed = pack([evaluation(*texts)], ["M0"], ["M0"], 10**6)
    finally:
        packing.BLOCK = before
    index, blocks = unpacked(packed.index), [unpacked(block) for block in packed.blocks]
    assert [text for block in blocks for text in block] == [*dict.fromkeys(texts)]
    starts = [sum(map(len, blocks[:k])) for k in range(len(blocks))]
    assert index["starts"] == starts


def test_texts_are_cut_only_where_the_page_would_grow_too_large():
    noise = [base64.b64encode(bytes((k * j) % 251 for j in range(9000))).decode() for k in range(9)]
    whole = pack([evaluation(*noise)], ["M0"], ["M0"], 10**9)
    assert whole.longest is None
    cut = pack([evaluation(*noise)], ["M0"], ["M0"], whole.size // 2)
    assert cut.size <= whole.size // 2
    assert cut.longest == unpacked(cut.index)["longest"] < 9000
    assert "more characters" in unpacked(cut.blocks[0])[0]


def test_the_same_samples_give_the_same_bytes():
    samples = [evaluation("one", "two")]
    assert pack(samples, ["M0"], [], 10**6) == pack(samples, ["M0"], [], 10**6)
