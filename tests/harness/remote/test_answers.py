import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Barrier

import pytest

from harness.errors import StoreError
from harness.remote.answers import Answer, Answers, Token, _write_ahead


def answer(text="m", served="judge-1"):
    return Answer(
        text=text,
        finish_reason="stop",
        served=served,
        tokens=(Token("m", -0.1, (("m", -0.1), ("M", -2.0))),),
    )


def test_an_answer_comes_back_as_it_was(tmp_path):
    kept = Answers(tmp_path / "new" / "answers.sqlite")
    kept.put("a", answer("line\nbreak \u2028 é"))
    kept.close()
    again = Answers(tmp_path / "new" / "answers.sqlite")
    assert again.get("a", None) == answer("line\nbreak \u2028 é")
    assert again.get("b", None) is None
    again.close()


def test_answers_of_another_model_are_not_found():
    kept = Answers(None)
    kept.put("a", answer("old", served="judge-1"))
    kept.put("a", answer("new", served="judge-2"))
    assert kept.get("a", "judge-2").text == "new"
    assert kept.get("a", "judge-1").text == "old"
    assert kept.get("a", "judge-3") is None
    assert kept.get("a", None) is not None


def test_the_first_answer_stays():
    kept = Answers(None)
    kept.put("a", answer("first"))
    kept.put("a", answer("second"))
    assert kept.get("a", None).text == "first"


WRITER = """
import sys
from pathlib import Path
from harness.remote.answers import Answer, Answers
kept = Answers(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    kept.put(f"{sys.argv[2]}{number}", Answer(text="x", finish_reason="stop", served="j"))
    print(number, flush=True)
"""


def writer(path, name, count=10**9):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_kill_9_loses_no_answer_that_was_put_and_two_processes_share_a_file(tmp_path):
    path = tmp_path / "answers.sqlite"
    writers = {name: writer(path, name) for name in "ab"}
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda w: [w.stdout.readline() for _ in range(100)], writers.values()))
    for one in writers.values():
        one.kill()
        one.wait()
        one.stdout.close()
    kept = Answers(path)
    for name, lines in zip("ab", said, strict=True):
        assert len(lines) == 100
        assert all(kept.get(f"{name}{int(line)}", "j") for line in lines)
    kept.close()


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path):
    together = Barrier(4)

    def put(path, name):
        kept = Answers(path)
        together.wait()
        kept.put(name, answer())
        kept.close()

    for number in range(50):
        path = tmp_path / f"{number}.sqlite"
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(put, path), "abcd"))
        kept = Answers(path)
        assert all(kept.get(name, None) for name in "abcd")
        kept.close()


@pytest.mark.parametrize(
    ("code", "tries"),
    [(sqlite3.SQLITE_BUSY, 3), (sqlite3.SQLITE_BUSY_RECOVERY, 3), (sqlite3.SQLITE_FULL, 1)],
)
def test_only_what_passes_is_waited_for(code, tries):
    class Refusing:
        asked = 0

        def execute(self, statement):
            self.asked += 1
            if self.asked < 3:
                error = sqlite3.OperationalError("refused")
                error.sqlite_errorcode = code
                raise error

    file = Refusing()
    with suppress(sqlite3.OperationalError):
        _write_ahead(file)
    assert file.asked == tries


def test_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / "answers.sqlite").write_text("not a database " * 100)
    with pytest.raises(StoreError, match=r"answers.sqlite cannot be used .*asked again"):
        Answers(tmp_path / "answers.sqlite")
