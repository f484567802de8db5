"""Every request that comes with the harness is understood, down to the options of its plug-ins."""

import types
from collections.abc import Iterator
from typing import Any

import pytest

from harness import plugins
from harness.config import Choice, RunConfig, presets, read_config, validate
from harness.data import hub
from harness.judge import pairwise, pointwise
from training.self_rewarding.propose import load_template

PRESETS = presets()
BENCHMARKS = {"microworld", "alpaca_eval", "mt_bench", "hub"}
"""Benchmarks bring questions of their own; a run reports which of them training has seen."""


def choices(config: RunConfig) -> Iterator[tuple[plugins.Kind[Any], Choice]]:
    """Every plug-in that a request names."""
    yield plugins.ENGINES, config.engine
    yield plugins.TRAINERS, config.trainer
    if config.judge:
        yield plugins.ENGINES, config.judge.engine
    yield from ((plugins.EVALUATIONS, choice) for choice in config.evaluations)
    yield from ((plugins.REPORTS, choice) for choice in config.reports)


def options(kind: plugins.Kind[Any], choice: Choice) -> Any:
    """Check a choice's options as `plugins.build` does, without the data that building reads."""
    [entry] = [e for e in plugins.installed(kind) if e.name == choice.name]
    return validate(entry.load().Config, choice.options, f"{kind.group} {choice.name}")


def trainer(name: str) -> Any:
    return options(plugins.TRAINERS, read_config(name, {}).trainer)


@pytest.mark.parametrize("name", PRESETS)
def test_every_plug_in_understands_its_options(name):
    for kind, choice in choices(read_config(name, {})):
        assert options(kind, choice)


@pytest.mark.parametrize("name", PRESETS)
def test_every_text_file_that_is_named_is_there(name):
    config = read_config(name, {})
    for kind, choice in choices(config):
        if kind is plugins.EVALUATIONS and hasattr(options(kind, choice), "rubric"):
            load = pairwise if choice.name == "head_to_head" else pointwise
            assert load(options(kind, choice).rubric).text
    assert pointwise(trainer(name).rubric).text
    assert "{task}" in load_template(trainer(name).proposing.template).text


@pytest.mark.parametrize("name", PRESETS)
def test_what_evaluations_ask_is_held_out_of_training(name):
    config = read_config(name, {})
    asked = {options(plugins.EVALUATIONS, choice).data for choice in config.evaluations}
    asked -= BENCHMARKS
    held_out = set(trainer(name).seeds.held_out)
    if selection := trainer(name).selection:
        asked.add(selection.prompts)
    assert asked <= held_out


def test_the_papers_figures_are_those_of_the_paper():
    config = read_config("llama2-70b", {})
    method = trainer("llama2-70b")
    sft, dpo = method.sft, method.dpo
    assert config.iterations == 3
    assert (sft.learning_rate, sft.final_learning_rate, sft.schedule) == (5.5e-6, 1.1e-6, "cosine")
    assert (sft.batch_size, sft.dropout, sft.checkpoint_every) == (16, 0.1, 200)
    assert (dpo.learning_rate, dpo.final_learning_rate, dpo.beta) == (1e-6, 1e-7, 0.1)
    assert (dpo.batch_size, dpo.dropout, dpo.checkpoint_every) == (16, 0.1, 200)
    assert (dpo.loss_type, dpo.nll_weight) == ("sigmoid", 0)
    assert (method.seeds.ift_rows, method.seeds.annotator) == (3200, "sft")
    proposing, candidates, judging = method.proposing, method.candidates, method.judging
    assert (proposing.demonstrations, proposing.generated) == (8, 2)
    assert (proposing.temperature, proposing.top_p) == (0.6, 0.9)
    assert "chat" in proposing.model.location
    assert (candidates.n, candidates.temperature, candidates.top_p) == (4, 0.7, 0.9)
    assert (judging.n, judging.temperature, judging.top_p) == (3, 0.7, 0.9)
    assert method.selection.rows == 253


def test_the_papers_data_is_asked_of_the_hub_by_name_and_split(monkeypatch):
    asked = []

    def load_dataset(name, config, split):
        asked.append((name, config, split))
        return types.SimpleNamespace(to_list=lambda: [{"prompt": "Why?"}])

    library = types.SimpleNamespace(load_dataset=load_dataset)
    monkeypatch.setattr(hub, "datasets", library)
    seeds = trainer("llama2-70b").seeds
    for source in (seeds.ift, *seeds.held_out):
        hub.hub_rows(source)
    assert asked == [
        ("OpenAssistant/oasst1", None, "train"),
        ("OpenAssistant/oasst1", None, "validation"),
        ("HuggingFaceH4/instruction-dataset", None, "test"),
    ]
