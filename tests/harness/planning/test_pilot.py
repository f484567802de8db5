"""A pilot really asks and trains, a little, and leaves the run's folder alone."""

import pytest

from harness import machine
from harness.config import RunConfig, validate
from harness.errors import ConfigError
from harness.planning.fleet import Fleet
from harness.planning.pilot import piloted
from harness.planning.plan import plan_for
from tests.harness.planning.test_rehearsal import REQUEST

TRAINER = REQUEST["trainer"] | {
    "seeds": {"ift": "microworld:ift", "ift_rows": 24},
    "sft": {"learning_rate": 1e-3, "batch_size": 4},
    "dpo": {"learning_rate": 1e-5, "batch_size": 4},
    "proposing": {"wanted": 8, "requests": 8, "template": "microworld", "max_tokens": 24},
    "candidates": {"max_tokens": 24},
    "judging": {"max_tokens": 34},
}


def test_a_pilot_measures_every_kind_of_part(tmp_path):
    config = validate(RunConfig, REQUEST | {"trainer": TRAINER}, "request")
    plan = plan_for(config, Fleet.of(), tmp_path, pilot=True)
    bases = {
        name: part.basis
        for stage in plan.stages
        for name, part in stage.parts.items()
        if part.kind in ("generate", "train")
    }
    assert set(bases.values()) == {"pilot"}
    assert {"candidates", "judge", "prompts", "train SFT", "train M2", "M2/examiner"} <= set(bases)
    measured = [need for need in plan.memory if "measured" in need.what]
    assert [need.what for need in measured] == ["train SFT, measured", "train M2, measured"]
    assert all(need.needed > 1e6 and need.fits for need in measured)
    assert not any(tmp_path.iterdir())


def test_a_pilot_is_refused_where_it_would_cost_or_mean_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    served = validate(RunConfig, REQUEST | {"engine": "openai", "iterations": 0}, "request")
    with pytest.raises(ConfigError, match="a model on a server, which may cost"):
        piloted(served, Fleet.of(), tmp_path)
    config = validate(RunConfig, REQUEST, "request")
    monkeypatch.setattr(machine, "gpus", lambda: ())
    for gpus in (1, 8):
        with pytest.raises(ConfigError, match="the hardware that is here"):
            piloted(config, Fleet.of("H100", gpus), tmp_path)
