import gzip
import json

import pytest

from evals.mt_bench import lines
from harness.errors import DataError

ROWS = [{"question_id": 81, "model": "Zürich"}, {"question_id": 82, "model": "line\u2028sep"}]
TEXT = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


@pytest.fixture
def read(tmp_path):
    def write_and_read(data, name="rows.jsonl"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        found = lines.read(path)
        return [line.row for line in found.lines], found.remarks

    return write_and_read


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_encodings_are_told_from_the_bytes(read, encoding, pack):
    assert read(pack(TEXT.encode(encoding))) == (ROWS, ())


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        f"\n\n{TEXT}\n  \n",
        TEXT.replace("\n", "\n\n"),
        TEXT.removesuffix("\n"),
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        f" \n{json.dumps(ROWS)}",
    ],
)
def test_lines_may_stand_as_they_like(read, text):
    assert read(text) == (ROWS, ())


def test_a_torn_last_line_is_left_out_and_said_so(read):
    rows, remarks = read(TEXT + '{"question_id": 83, "mod')
    assert rows == ROWS
    assert remarks == ("torn last line of rows.jsonl left out",)


def test_a_byte_that_is_no_text_harms_only_itself(read):
    rows, remarks = read(TEXT.encode("latin-1", "replace"))
    assert [row["question_id"] for row in rows] == [81, 82]
    assert remarks == ("rows.jsonl is not wholly UTF-8, odd bytes replaced",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"a": 1}\n{"b": \n{"c": 3}\n', r"line 2, is not JSON .*mend or delete"),
        ('{"torn": ', "line 1, is not JSON"),
        ('{"a": 1}\n3\n', "line 2, is no JSON object but a int"),
        ("[1]", "entry 1, is no JSON object but a int"),
        ('[{"a": 1}', "is not JSON .*mend that place"),
        (gzip.compress(TEXT.encode())[:-9], "cannot be read"),
    ],
)
def test_anything_else_is_an_error_that_says_where(read, data, message):
    with pytest.raises(DataError, match=message):
        read(data)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    for path in (tmp_path / "nowhere.jsonl", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            lines.read(path)
