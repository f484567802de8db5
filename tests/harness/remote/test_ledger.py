import json
import subprocess
import sys

import pytest

from harness.errors import StoreError
from harness.records import Bill, Cost
from harness.remote.ledger import Entry, Ledger, Reader, bills, read, summary


def entry(**values):
    told = {"time": "2026-11-20T20:00:00Z", "call": "9f", "host": "h", "model": "m"}
    return Entry(**told | {"status": "ok", "attempt": 1, "seconds": 0.1} | values)


def test_entries_survive_and_add_up(tmp_path):
    path = tmp_path / "books" / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append(entry(input_tokens=10, output_tokens=2, dollars=0.5, served="m-1"))
    ledger.append(entry(status="rate_limited", http=429, at_most=0.0))
    ledger.close()
    ledger = Ledger(path)
    ledger.append(entry(input_tokens=5, output_tokens=1, cached_tokens=3, dollars=0.25))
    ledger.close()
    found = summary(read(path))
    assert found.calls == {"ok": 2, "rate_limited": 1}
    assert (found.input_tokens, found.output_tokens, found.cached_tokens) == (15, 3, 3)
    assert (found.dollars, found.unpriced) == (0.75, 0)
    assert found.served == ("m-1",)


def test_an_unknown_price_is_unknown_and_never_zero():
    found = summary([entry(input_tokens=10, output_tokens=2), entry(status="time_out")])
    assert (found.dollars, found.unpriced) == (None, 2)
    mixed = summary([entry(dollars=0.5), entry(status="time_out", at_most=0.1)])
    assert (mixed.dollars, mixed.unpriced) == (0.5, 1)
    assert summary([]).dollars == 0


@pytest.mark.parametrize(
    ("values", "charged"),
    [
        ({"dollars": 0.5, "at_most": 0.9}, 0.5),
        ({"status": "time_out", "at_most": 0.9}, 0.9),
        ({"status": "rate_limited", "at_most": 0.0}, 0.0),
        ({}, 0.0),
    ],
)
def test_a_budget_assumes_the_worst(values, charged):
    assert entry(**values).charged == charged


def test_a_torn_last_line_is_cut_off(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append(entry(attempt=1))
    ledger.append(entry(attempt=2))
    ledger.close()
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) // 2 + 5):
        path.write_bytes(whole[:cut])
        assert [one.attempt for one in read(path)] == [1]
        ledger = Ledger(path)
        ledger.append(entry(attempt=3))
        ledger.close()
        assert [one.attempt for one in read(path)] == [1, 3]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text(f"{entry().model_dump_json()}\nnonsense\n")
    with pytest.raises(StoreError, match=r"ledger.jsonl, line 2"):
        read(path)


WRITER = """
import sys
from pathlib import Path
from harness.remote.ledger import Entry, Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(10**9):
    ledger.append(Entry(time="t", call=sys.argv[2], host="h", model="m", status="ok",
                        attempt=number, seconds=0.1))
    print(number, flush=True)
"""


def test_kill_9_and_two_writers_lose_no_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    writers = {
        name: subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name], stdout=subprocess.PIPE, text=True
        )
        for name in "ab"
    }
    for one in writers.values():
        for _ in range(200):
            one.stdout.readline()
    for one in writers.values():
        one.kill()
        one.wait()
        one.stdout.close()
    Ledger(path).close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for name in "ab":
        numbers = [line["attempt"] for line in lines if line["call"] == name]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= 200


def test_every_model_on_every_server_has_a_bill():
    made = [
        entry(host="b", model="m", dollars=0.5, served="m-1", input_tokens=10, output_tokens=2),
        entry(host="a", model="m", input_tokens=3, output_tokens=1),
        entry(host="b", model="m", dollars=0.25, served="m-1"),
        entry(host="b", model="m", status="time_out"),
    ]
    assert bills(made) == (
        Bill(host="a", model="m", calls={"ok": 1}, input_tokens=3, output_tokens=1, unpriced=1),
        Bill(
            host="b",
            model="m",
            served=("m-1",),
            calls={"ok": 2, "time_out": 1},
            input_tokens=10,
            output_tokens=2,
            dollars=0.75,
            unpriced=1,
        ),
    )
    assert bills([]) == ()


def test_a_reader_reads_each_line_once_however_it_is_torn(tmp_path):
    path = tmp_path / "ledger.jsonl"
    reader = Reader(path)
    assert reader.new() == []
    lines = "".join(
        f"{entry(attempt=n, dollars=n).model_dump_json()}\n" for n in (1, 2, 3)
    ).encode()
    seen = []
    for end in range(0, len(lines) + 1, 7):
        path.write_bytes(lines[:end])
        seen += [one.attempt for one in reader.new()]
    path.write_bytes(lines)
    assert seen + [one.attempt for one in reader.new()] == [1, 2, 3]
    assert reader.new() == []
    assert Reader(path).spent() == {"": Cost(dollars=6)}
    with path.open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(StoreError, match="line 4, is no entry"):
        reader.new()
