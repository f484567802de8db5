"""Whatever is in a bundle's files, or in those it is made of: rules or one line, no traceback."""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.submissions import bundles
from harness.submissions.bundles import MANIFEST
from tests.reports.submissions.conftest import annotations
from tests.reports.submissions.test_mt_bench import VERDICTS

ODD = (None, True, 0, -1, 1e999, 7, 2.5, "", "x", "\ud83d", "\x1b[2J", [], {}, [[]], {"a": [1]})
WORDS = ("", "x: [", "- 1\n", "a,b\n1,2,3\n", "---\n1\n---\n", "\x00", "nan", "\n")


@pytest.fixture
def runs(alpaca_run, mt_bench_run, lm_eval_run, hub_run):
    """A run for each kind of bundle."""
    judge = "mine@llama"
    return {
        "alpaca_eval": alpaca_run([row | {"annotator": judge} for row in annotations(6)]),
        "mt_bench": mt_bench_run(VERDICTS),
        "lm_eval": lm_eval_run,
        "hub": hub_run,
    }


@pytest.fixture
def whole(submit, runs):
    """A bundle of each kind, without the list of its files."""
    folders = [submit(kind, run) for kind, run in runs.items()]
    for folder in folders:
        (folder / MANIFEST).unlink()
    return folders


def places(value, at=()):
    """List every place in a JSON value."""
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def put(value, at, new):
    if not at:
        return new
    value[at[0]] = put(value[at[0]], at[1:], new)
    return value


def damage(path, data):
    """Put something odd at one place of a file."""
    text = path.read_text()
    if path.suffix in (".json", ".jsonl"):
        lines = path.suffix == ".jsonl"
        value = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
        at = data.draw(st.sampled_from(list(places(value))[:4_000]))
        value = put(value, at, data.draw(st.sampled_from(ODD)))
        whole = value if isinstance(value, list) else [value]
        path.write_text("\n".join(map(json.dumps, whole)) if lines else json.dumps(value))
    else:
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        path.write_text(text[:start] + data.draw(st.sampled_from(WORDS)) + text[end:])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_damage_is_a_rule_or_a_line(whole, tmp_path, data):
    folder = data.draw(st.sampled_from(whole))
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    damage(data.draw(st.sampled_from(files)), data)
    try:
        checked = bundles.check(copy)
    except HarnessError as error:
        assert "\n" not in str(error)
    else:
        assert checked.rules


DEEP = "[" * 100_000 + "]" * 100_000
HUGE = "9" * 5_000


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_damage_of_what_was_published(runs, submit, tmp_path, data):
    kind = data.draw(st.sampled_from(["alpaca_eval", "mt_bench", "lm_eval"]))
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.rmtree(tmp_path / "bundles", ignore_errors=True)
    shutil.copytree(runs[kind], copy)
    files = sorted(path for path in (copy / "published").rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    if data.draw(st.booleans()):
        damage(path, data)
    else:
        path.write_text(data.draw(st.sampled_from(["", "null", "7\n", "{}", "[]", DEEP, HUGE])))
    try:
        assert submit(kind, copy).is_dir()
    except HarnessError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("evaluations", [None, "x", [], ["mt_bench"], [None], [{"label": 1}]])
@pytest.mark.parametrize("kind", ["alpaca_eval", "mt_bench", "lm_eval", "hub"])
def test_a_request_of_another_version(runs, submit, kind, evaluations):
    path = runs[kind] / "request.json"
    request = json.loads(path.read_text()) | {"model": "M0", "evaluations": evaluations}
    path.write_text(json.dumps(request))
    with pytest.raises(HarnessError):
        submit(kind, runs[kind])
