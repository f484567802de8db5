"""FastChat's folder: as its own script reads it, and faulted where that would mislead."""

import gzip
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.errors import ConfigError, DataError
from tests.reports.submissions.conftest import lines
from tests.shared_data import shared

ROOT = "data/mt_bench"
ANSWERS = f"{ROOT}/model_answer/mine.jsonl"
JUDGE = "org_judge_2"
SINGLE = f"{ROOT}/model_judgment/{JUDGE}_single.jsonl"
REFERENCES = f"{ROOT}/reference_answer/{JUDGE}.jsonl"


VERDICTS = {"replies": {"Go on 81": "hm", "Ask 111": "[[3]]"}, "default": ("[[8]]", "[[9]]")}


@pytest.fixture
def bundle(mt_bench_run, submit):
    return submit("mt_bench", mt_bench_run(VERDICTS))


def test_the_layout(bundle, states):
    files = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert files == {
        f"{ROOT}/question.jsonl", ANSWERS, SINGLE, REFERENCES, "submission.json"
    }  # fmt: skip
    row = json.loads((bundle / SINGLE).read_text().splitlines()[0])
    assert (row["model"], row["judge"][0]) == ("mine", JUDGE)
    assert json.loads((bundle / ANSWERS).read_text().splitlines()[0])["model_id"] == "mine"
    found = states(bundle)
    assert "broken" not in found
    assert found["differs"]["judged by gpt-4"] == f"judge substituted: {JUDGE}"
    assert found["differs"]["MT-Bench's questions"] == "3 questions that are not FastChat's 80"
    assert found["differs"]["no judgement failed"] == "1 did, which show_result leaves out"
    said = json.loads((bundle / "submission.json").read_text())["notes"]
    assert "reader = last, FastChat's is official" in said


def put(change):
    def by(rows):
        rows[1] = rows[1] | change
        return rows

    return by


@pytest.mark.parametrize(
    ("name", "by", "rule"),
    [
        (SINGLE, lambda rows: [*rows, rows[0]], "one line a judgement"),
        (SINGLE, lambda rows: rows[1:], "every turn judged"),
        (SINGLE, put({"score": 11}), "scores from 1 to 10, or -1"),
        (SINGLE, put({"score": "9"}), "scores from 1 to 10, or -1"),
        (SINGLE, put({"score": float("nan")}), "scores from 1 to 10, or -1"),
        (SINGLE, put({"turn": 3}), "one line a judgement"),
        (SINGLE, put({"question_id": 7}), "one line a judgement"),
        (SINGLE, put({"judge": ["gpt-4", "single-v1"]}), "files called by their judge"),
        (SINGLE, put({"model": "another"}), "answers of every model that was judged"),
        (SINGLE, put({"model_1": "mine"}), "files called by their judge"),
        (ANSWERS, lambda rows: [*rows, rows[0]], "one answer a question"),
        (ANSWERS, put({"model_id": "another"}), "one answer a question"),
        (ANSWERS, put({"choices": []}), "one answer a question"),
        (ANSWERS, put({"question_id": [7]}), "one answer a question"),
        (REFERENCES, lambda rows: [], "references under the judge's name"),
        (f"{ROOT}/question.jsonl", put({"turns": ["one"]}), "two turns of every question"),
    ],
)
def test_a_damaged_folder_breaks_a_rule(bundle, states, edit, name, by, rule):
    edit(bundle / name, by)
    assert rule in states(bundle)["broken"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (SINGLE, "every file in place"),
        (ANSWERS, "every file in place"),
        (REFERENCES, "references under the judge's name"),
    ],
)
def test_a_missing_file_breaks_a_rule(bundle, states, name, rule):
    (bundle / name).unlink()
    assert rule in states(bundle)["broken"]


def test_a_line_that_is_no_json(bundle, states):
    (bundle / SINGLE).write_text('{"question_id": 81')
    assert "line 1, is not JSON" in states(bundle)["broken"]["every line can be read"]


def test_answers_that_are_missing_are_said(bundle, states, edit):
    edit(bundle / ANSWERS, lambda rows: rows[1:])
    assert states(bundle)["differs"]["every question answered"] == "mine: 1 questions"


def test_repeated_judgements_are_said(mt_bench_run, submit, states):
    found = states(submit("mt_bench", mt_bench_run(VERDICTS, judgements=2)))
    assert "broken" not in found
    assert found["differs"]["every turn judged once"] == "2 times, which show_result averages"


def test_pairs_bring_the_answers_of_both(mt_bench_run, submit, states):
    pairs = {"replies": {"Go on 81": "[[C]]", "Ask 141": "hm"}, "default": "[[A]]"}
    made = mt_bench_run(pairs, mode="pair")
    bundle = submit("mt_bench", made)
    assert (bundle / ROOT / "model_answer/M0.jsonl").exists()
    found = states(bundle)
    assert "broken" not in found
    row = json.loads((bundle / SINGLE.replace("single", "pair")).read_text().splitlines()[0])
    assert (row["model_1"], row["model_2"]) == ("mine", "M0")
    with pytest.raises(DataError, match="compared with no other model"):
        submit("mt_bench", made, model="M0")


def test_names_and_files_that_will_not_do(mt_bench_run, submit):
    made = mt_bench_run(VERDICTS)
    with pytest.raises(ConfigError, match="without /"):
        submit("mt_bench", made, name="ann/mine")
    (made / "published/M1/mt_bench/question.jsonl").unlink()
    with pytest.raises(DataError, match=r"question.jsonl cannot be read"):
        submit("mt_bench", made)


# ---------------------------------------------------------------- FastChat itself


@pytest.fixture
def show_result():
    """FastChat's own script, run on a folder."""
    spec = find_spec("fastchat")
    if spec is None:
        pytest.skip(
            "FastChat is not here: `pip install --no-deps fschat==0.2.36` brings its script"
        )
    script = Path(spec.submodule_search_locations[0], "llm_judge", "show_result.py")

    def run(folder, *options):
        command = [sys.executable, str(script), *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=120, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_fastchats_script_reads_ratings(bundle, show_result, states):
    said = show_result(bundle, "--judge-model", JUDGE)
    [average] = [line for line in said.splitlines()[-2:] if line.startswith("mine")]
    figure = states(bundle)["ok"]["figures as show_result gives them"]
    assert figure.startswith(f"mine {float(average.split()[1]):.6f} (")


def test_fastchats_script_reads_pairs(mt_bench_run, submit, show_result):
    verdicts = {"replies": {"Go on 81": "[[C]]"}, "default": "[[A]]"}
    bundle = submit("mt_bench", mt_bench_run(verdicts, mode="pair"))
    said = show_result(
        bundle, "--judge-model", JUDGE, "--mode", "pairwise-baseline", "--baseline-model", "M0"
    )
    assert said.splitlines()[-1].split()[:4] == ["mine", "0", "0", "6"]  # no order agrees


def published_folder(folder):
    """Lay published files out as FastChat does."""
    judged = shared("mt_bench/model_judgment/medusa_gpt-4_single.jsonl.gz")
    rows = [json.loads(line) for line in gzip.decompress(judged.read_bytes()).splitlines()]
    name = "vicuna-7b-v1.3"
    lines(
        folder / ROOT / "model_judgment/gpt-4_single.jsonl",
        [row for row in rows if row["model"] == name],
    )
    for source, place in {
        "question.jsonl": "question.jsonl",
        "reference_answer_gpt-4.jsonl": "reference_answer/gpt-4.jsonl",
        f"model_answer/{name}.jsonl": f"model_answer/{name}.jsonl",
    }.items():
        target = folder / ROOT / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(shared(f"mt_bench/{source}").read_bytes())
    return folder


def test_published_judgements_pass_every_rule(tmp_path, states):
    found = states(published_folder(tmp_path / "published"))
    assert list(found) == ["ok"]
    figure = found["ok"]["figures as show_result gives them"]
    assert figure == "vicuna-7b-v1.3 6.103125 (6.731250, 5.475000 by turn) of 160"


def test_fastchats_script_reads_published_judgements(tmp_path, show_result):
    said = show_result(published_folder(tmp_path / "published"))
    assert said.splitlines()[-1].split() == ["vicuna-7b-v1.3", "6.103125"]
