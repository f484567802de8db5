import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.alpaca_eval.files import decode, plain, read_rows, read_table
from harness.errors import DataError

ROWS = [{"output": "café “naïve” … 7 €", "preference": 1.5}, {"output": "Ünïcode\nline"}]
TEXT = json.dumps(ROWS, ensure_ascii=False)
ENCODINGS = [
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252",
]  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_same_rows_in_any_encoding(tmp_path, encoding, pack):
    path = tmp_path / "rows.json"  # gzip is told by content, not by name
    path.write_bytes(pack(TEXT.encode(encoding)))
    assert read_rows(path) == ROWS


def test_latin_1_and_stray_bytes_cost_no_character():
    assert decode("déjà".encode("latin-1")) == "déjà"
    assert decode("smile 😀 caf".encode() + b"\xe9\x81!") == "smile 😀 café\x81!"


def test_half_characters_are_one_character_each_and_halves_meet(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b'[{"a": "x\\ud83dy", "b": "\xed\xa0\xbd\xed\xb8\x80", "\\ude00": NaN}]')
    assert read_rows(path) == [{"a": "x\ufffdy", "b": "😀", "\ufffd": None}]


def test_one_object_a_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in ROWS) + "\n\n")
    assert read_rows(path) == ROWS
    path.write_text(json.dumps(ROWS[0]))
    assert read_rows(path) == ROWS[:1]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"[1, 2]", "entry 1, is no JSON object but 1"),
        (b'"text"', "a single JSON value"),
        (b'[{"a": 1}', "is not JSON"),
        (b'{"a": 1}\n{"a": ', "line 2, is not JSON"),
        (gzip.compress(b"[{}]")[:-9], "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, data, says):
    path = tmp_path / "rows.json"
    path.write_bytes(data)
    with pytest.raises(DataError, match=says) as error:
        read_rows(path)
    assert str(path) in str(error.value)


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_rows(tmp_path / "absent.json")


def test_a_table_of_uneven_rows_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(",win_rate\nmine,3\n")
    assert read_table(path) == [{"": "mine", "win_rate": "3"}]
    path.write_text("index,difficulty\n1\n")
    with pytest.raises(DataError, match="row 2, has not as many columns"):
        read_table(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(st.characters()), inside),
    max_leaves=8,
)


@given(value=JSON)
def test_a_plain_value_can_be_written_anywhere(value):
    cleaned = plain(json.loads(json.dumps(value)))
    assert plain(cleaned) == cleaned
    written = json.dumps(cleaned, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(written) == cleaned


@given(text=st.text(st.characters()), encoding=st.sampled_from(ENCODINGS[:-1]))
def test_whatever_was_encoded_is_decoded(text, encoding):
    whole = json.dumps([text.encode("utf-8", "replace").decode()], ensure_ascii=False)
    assert decode(whole.encode(encoding)) == whole
