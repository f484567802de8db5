"""A card and leaderboard entries, read back by huggingface_hub's own classes."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from harness.errors import DataError
from reports.submissions.card_figures import ON_HUB
from tests.measured import measured
from tests.reports.submissions.conftest import ASKED, HOSTILE, RESULTS

CARD, GSM8K = "README.md", ".eval_results/gsm8k.yaml"


@pytest.fixture
def bundle(hub_run, submit):
    options = {"license": "mit", "base_model": "org/base", "source": "https://a/b"}
    return submit("hub", hub_run, name="org/mine", **options)


def test_the_card_has_every_main_figure_with_how_sure_it_is(bundle):
    card = ModelCard((bundle / CARD).read_text())
    assert (card.data.license, card.data.base_model) == ("mit", "org/base")
    found = {one.metric_name: one for one in card.data.eval_results}
    assert found.keys() == {"gsm8k", "piqa", "win_rate", f"net_win against {HOSTILE}"}
    gsm8k, win_rate = found["gsm8k"], found["win_rate"]
    assert (gsm8k.dataset_type, gsm8k.dataset_config) == ("openai/gsm8k", "main")
    assert gsm8k.metric_value == 0.1137
    assert gsm8k.metric_args["n"] == 1319
    assert win_rate.metric_args == {
        "n": 800,
        "failed": 5,
        "low": 8.0,
        "high": 13.0,
        "judge": "judge (judge)",
        "note": "judge substituted (judge)",
    }
    assert "/home/ann" not in (bundle / CARD).read_text()
    assert "<script>" not in card.text
    assert "\n# heading" not in card.text


def test_only_benchmarks_with_a_leaderboard_enter_one(bundle):
    assert [p.name for p in (bundle / ".eval_results").iterdir()] == ["gsm8k.yaml"]
    [entry] = parse_eval_result_entries(yaml.safe_load((bundle / GSM8K).read_text()))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("openai/gsm8k", "gsm8k", 11.37)
    assert entry.notes == (
        "exact_match_strict, 8-shot; n=1319; 95 % interval 9.70 to 13.15; 0 failed"
    )


def test_nothing_is_broken(bundle, states):
    found = states(bundle)
    assert "broken" not in found
    assert set(found["differs"]) == {"as the run says", "data sets of the hub"}
    assert list(found["unchecked"]) == ["the hub's own validation"]


@pytest.mark.parametrize("change", [{"data": "microworld"}, {"data": "/x/y"}, {"limit": 100}])
def test_other_questions_or_fewer_enter_no_leaderboard(tmp_path, submit, change):
    asked = [ASKED[0] | change, *ASKED[1:]]
    folder = submit("hub", measured(tmp_path / "run", RESULTS, evaluations=asked))
    assert not (folder / ".eval_results").exists()
    notes = json.loads((folder / "submission.json").read_text())["notes"]
    if change != {"data": "/x/y"}:
        assert any(note.startswith("nlp_benchmarks: ") for note in notes)


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        (CARD, "model-index:", "model-index: [", "a model card that can be read"),
        (CARD, "model-index:", "model_index:", "a model card that can be read"),
        (CARD, "      type: openai/gsm8k\n", "", "a model card that can be read"),
        (CARD, "value: 0.1137", "value: much", "figures are numbers"),
        (CARD, "value: 0.1137", "value: .nan", "figures are numbers"),
        (CARD, "n: 1319", "m: 1319", "how sure each figure is"),
        (CARD, "8-shot", "8-shot of /home/ann/secret/x", "no private places"),
        (GSM8K, "value:", "values:", ".eval_results that can be read"),
        (GSM8K, "- dataset", "dataset", ".eval_results that can be read"),
        (GSM8K, "- dataset", "- [dataset", ".eval_results that can be read"),
        (GSM8K, "task_id: gsm8k", "task_id: main", "entries of a leaderboard"),
        (GSM8K, "openai/gsm8k", "gsm8k", "entries of a leaderboard"),
        (GSM8K, "value: 11.37", "value: '11'", "entries of a leaderboard"),
        (GSM8K, "value: 11.37", "value: 11.37\n  date: yesterday", "entries of a leaderboard"),
        (GSM8K, "n=1319", "many", "entries of a leaderboard"),
        (GSM8K, "8-shot", "~/x/y", "no private places in .eval_results"),
    ],
)
def test_a_damaged_bundle_breaks_a_rule(bundle, states, edit, name, old, new, rule):
    assert old in (bundle / name).read_text()
    edit(bundle / name, lambda text: text.replace(old, new))
    assert rule in states(bundle)["broken"]


def test_a_card_that_is_gone(bundle, states):
    (bundle / CARD).unlink()
    assert "cannot be read" in states(bundle)["broken"]["a model card that can be read"]


def test_a_run_without_a_figure(tmp_path, submit):
    with pytest.raises(DataError, match="no evaluation has a figure of M0"):
        submit("hub", measured(tmp_path / "run", [], evaluations=ASKED))


def test_data_sets_are_those_of_lm_evals_tasks():
    tasks = Path(find_spec("lm_eval").submodule_search_locations[0]) / "tasks"
    named = {
        line.partition(":")[2].strip()
        for folder in ("arc", "hellaswag", "siqa", "piqa", "gsm8k", "openbookqa", "nq_open")
        for path in (tasks / folder).glob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("dataset_path:")
    }
    [mmlu] = [
        line.partition(":")[2].split("#")[0].strip()
        for line in (tasks / "mmlu/default/_default_template_yaml").read_text().splitlines()
        if line.startswith("dataset_path:")
    ]
    assert {data.id for data in ON_HUB.values()} <= {*named, mmlu}
