"""What the request `open_assistant` reads from the real files, which are not in this repository."""

from pathlib import Path

import pytest

from harness import plugins
from harness.config import read_config
from harness.data import datasets
from harness.data.overlap import key
from training.self_rewarding import seeds

DATA = Path(__file__).parents[3] / "shared" / "data"

OVERLAP = {
    "demonstrations: prompt held out": 67,
    "demonstrations: prompt among the groups": 581,
    "groups: prompt held out": 60,
    "groups: same prompt twice": 66,
    "groups: fewer than two answers left": 5,
    "groups: prompt among the demonstrations": 551,
    "ranked answers: held out": 56,
}

pytestmark = pytest.mark.skipif(
    not (DATA / "preferences").is_dir(),
    reason="the Open Assistant files are not in ../shared/data: see tests/real_data/README.md",
)


@pytest.fixture
def request_config(tmp_path, monkeypatch):
    """Read the request where its relative paths lead to the files."""
    (tmp_path / "data").symlink_to(DATA)
    monkeypatch.chdir(tmp_path)
    return read_config("open_assistant", {})


@pytest.fixture
def human(request_config):
    """Load everything that the trainer could draw its seeds from."""
    options = plugins.build(plugins.TRAINERS, request_config.trainer).plugin.config.seeds
    everything = options.model_copy(update={"ift_rows": None, "eft_groups": None})
    return seeds.load(everything, everything.held_out, seed=0)


def test_the_held_out_set_has_the_published_counts(request_config):
    [choice] = [c for c in request_config.evaluations if c.name == "judge_agreement"]
    groups = plugins.build(plugins.EVALUATIONS, choice).plugin.groups
    assert len(groups.rows) == 186
    assert sum(len(group.responses) for group in groups.rows) == 541
    assert sum(group.pairs for group in groups.rows) == 531
    assert groups.read == 541 + sum(groups.dropped.values())


def test_no_held_out_text_is_learned_from(request_config, human):
    held_out = {key(text) for text in datasets.texts("data/preferences/oasst1_en_validation.jsonl")}
    shown = {key(text) for row in human.ift for text in (row.prompt, row.response)}
    judged = {key(text) for g in human.eft for text in (g.prompt, *(r.text for r in g.responses))}
    assert len(shown) > 1000
    assert len(judged) > 1000
    assert not shown & held_out
    assert not judged & held_out


def test_the_overlaps_that_the_files_have_are_counted(human):
    assert human.metrics["overlap"] == OVERLAP
    for part, rows in ((human.metrics["ift"], "rows"), (human.metrics["eft"], "answers")):
        assert part["read"] == part[rows] + sum(part["dropped"].values())


def test_demonstrations_and_judgements_share_no_prompt(human):
    assert not {key(row.prompt) for row in human.ift} & {key(group.prompt) for group in human.eft}


def test_a_source_that_is_not_held_out_lets_held_out_texts_through(request_config):
    """The overlap is real: without `held_out` the same seeds do hold evaluation prompts."""
    options = plugins.build(plugins.TRAINERS, request_config.trainer).plugin.config.seeds
    careless = options.model_copy(update={"held_out": (), "ift_rows": None, "eft_groups": None})
    held_out = {key(text) for text in datasets.texts("data/preferences/oasst1_en_validation.jsonl")}
    asked = [row.prompt for row in seeds.load(careless, careless.held_out, seed=0).ift]
    assert any(key(prompt) in held_out for prompt in asked)
