import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stored_files import decode, plain, read, read_csv
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
    assert read(path).rows == ROWS


def test_latin_1_and_stray_bytes_cost_no_character():
    assert decode("déjà".encode("latin-1")) == "déjà"
    assert decode("smile 😀 caf".encode() + b"\xe9\x81!") == "smile 😀 café\x81!"


def test_half_characters_are_one_character_each_and_halves_meet(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b'[{"a": "x\\ud83dy", "b": "\xed\xa0\xbd\xed\xb8\x80", "\\ude00": NaN}]')
    assert read(path).rows == [{"a": "x\ufffdy", "b": "😀", "\ufffd": None}]


def test_one_object_a_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in ROWS) + "\n\n")
    assert read(path).rows == ROWS
    assert read(path).where(1) == f"{path}, line 2"
    path.write_text(json.dumps(ROWS[0], indent=2))
    assert read(path).rows == ROWS[:1]


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    "text",
    [
        LINES.replace("\n", "\r\n"),
        f"\n\n{LINES}\n  \n\0\0",
        LINES.removesuffix("\n"),
        json.dumps(ROWS, indent=2),
        f" \n{json.dumps(ROWS)}",
        json.dumps(ROWS[0]) + json.dumps(ROWS[1]),
        json.dumps(ROWS[:1]) + "\ufeff" + json.dumps(ROWS[1:]),
    ],
)
def test_rows_may_stand_as_they_like(tmp_path, text):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    assert (read(path).rows, read(path).remarks) == (ROWS, ())


def test_gzip_files_behind_each_other_are_one(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(LINES.encode()) + gzip.compress(LINES.encode()))
    assert read(path).rows == ROWS + ROWS


def test_a_torn_last_line_is_left_out_and_said_so(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(LINES + '{"question_id": 83, "mod')
    assert read(path).rows == ROWS
    assert read(path).remarks == ("torn last line of rows.jsonl left out",)


def test_csv_is_told_by_its_name(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("question_id,score\n81,9.5\n82,-1\n".encode("utf-16"))
    found = read(path)
    assert found.rows == [
        {"question_id": "81", "score": "9.5"},
        {"question_id": "82", "score": "-1"},
    ]
    assert found.where(1) == f"{path}, row 3"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"[1, 2]", "entry 1, is no JSON object but 1"),
        (b" \n ", "is empty"),
        (b"[]", "is empty"),
        (b'"text"', "line 1, is no JSON object but 'text'"),
        (b'{"a": 1}\n3\n', "line 2, is no JSON object but 3"),
        (b'[{"a": 1}', "line 1, is not JSON .*mend that place"),
        (b'{"a": 1}\n{"b": \n{"c": 3}\n', "line 2, is not JSON"),
        (b'{"a": 1}\n[{"b": ', "line 2, is not JSON"),
        (b'{"torn": ', "line 1, is not JSON"),
        (b"[" * 100_000, "line 1, is not JSON"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "line 1, is not JSON"),
        (b"\x89PNG\r\n\x1a\n", "line 1, is not JSON"),
        (gzip.compress(b"[{}]", mtime=0)[:-9], "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, data, says):
    path = tmp_path / "rows.json"
    path.write_bytes(data)
    with pytest.raises(DataError, match=says) as error:
        read(path)
    assert str(path) in str(error.value)


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "absent.json")
    with pytest.raises(DataError, match="Is a directory"):
        read(tmp_path)


def test_a_table_of_uneven_rows_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(",win_rate\nmine,3\n")
    assert read_csv(path) == [{"": "mine", "win_rate": "3"}]
    path.write_text("index,difficulty\n1\n")
    with pytest.raises(DataError, match="row 2, has not as many columns"):
        read_csv(path)


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
