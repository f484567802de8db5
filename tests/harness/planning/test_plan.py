"""A whole plan of a small request: what is known exactly, what is assumed, what is refused."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from harness import machine, plugins
from harness.cli import app
from harness.config import RunConfig, validate
from harness.errors import ConfigError, DataError
from harness.planned import Work
from harness.planning.bid import Bid
from harness.planning.command import _summary
from harness.planning.estimate import Estimator
from harness.planning.fleet import Fleet
from harness.planning.hardware import gpu
from harness.planning.plan import make_plan, plan_for
from harness.planning.rehearsal import Absent
from harness.planning.show import headlines
from harness.planning.speed import DISK, HASH
from harness.records import Cost, ModelRef, Plan, Stage, StageResult
from harness.run import Bench
from harness.store import Store
from tests.harness.planning.test_rehearsal import REQUEST

H100 = Fleet(gpu("H100"))
FIRST = Stage(iteration=0, kind="evaluate")


def config(**changed):
    return validate(RunConfig, REQUEST | changed, "request")


def part(plan, stage, name):
    return next(one.parts[name] for one in plan.stages if str(one.stage) == stage)


def test_a_plan_has_every_stage_and_adds_up():
    plan = make_plan(config(), H100)
    names = [str(one.stage) for one in plan.stages]
    assert names == ["00-evaluate", "01-train", "01-evaluate", "02-train", "02-evaluate"]
    seconds = [one.seconds for stage in plan.stages for one in stage.parts.values()]
    assert plan.seconds == pytest.approx(sum(seconds))
    assert part(plan, "02-train", "candidates").rows == 4 * 1000
    assert part(plan, "01-train", "train SFT").rows == 40
    assert plan.disk["models"] > 0
    assert all(need.fits for need in plan.memory if need.place == "gpu")
    assert "examiner is asked about" in plan.judge


def test_a_plan_survives_the_disk():
    plan = make_plan(config(iterations=0), H100)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_request_is_kept_as_the_run_keeps_it():
    plan = make_plan(config(iterations=0), H100)
    assert plan.request == Bench.build(config(iterations=0)).request


def test_what_costs_money_is_said_before_it_does(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    judge = {"engine": "openai", "model": {"name": "judge", "location": "gpt-6-sol"}}
    plan = make_plan(config(iterations=0, judge=judge), H100)
    assert "tokens in" in plan.judge
    assert "$" in plan.judge
    assert part(plan, "00-evaluate", "M0/examiner/mark").seconds is None  # somebody else's server
    assert plan.seconds is None


def test_a_model_that_does_not_fit_is_said(monkeypatch):
    big = {"location": "meta-llama/Llama-2-70b-hf"}
    plan = make_plan(config(iterations=0, model=big, evaluations=[]), H100)
    assert plan.memory == ()  # nothing is asked
    asked = [{"name": "examiner", "limit": 2}]
    plan = make_plan(config(iterations=0, model=big, evaluations=asked), H100)
    [need] = plan.memory
    assert not need.fits
    spread = replace(H100, gpus=8, supposed=True)
    [need] = make_plan(config(iterations=0, model=big, evaluations=asked), spread).memory
    assert need.fits


def test_a_context_that_vllm_has_no_room_for_is_said():
    asked = {
        "iterations": 0,
        "model": {"location": "meta-llama/Llama-3.1-8B"},
        "evaluations": [{"name": "examiner", "limit": 2}],
    }
    one, eight = Fleet(gpu("RTX-4090")), Fleet(gpu("RTX-4090"), 8, True, tensor_parallel=1)
    whole, short = {"name": "vllm"}, {"name": "vllm", "context": 8192}
    for fleet, engine, fits in (
        (one, whole, False),
        (eight, short, True),
        (eight, {"name": "ray", "engine": whole}, False),
        (one, {"name": "ray", "engine": short}, True),
    ):
        [need] = make_plan(config(**asked, engine=engine), fleet).memory
        assert need.fits is fits


def test_a_model_of_the_hub_is_not_hashed():
    seconds = []
    for location in ("HuggingFaceTB/SmolLM2-135M", "none"):  # the second is one to be trained
        hub = {"location": "HuggingFaceTB/SmolLM2-135M"}
        estimator = Estimator(Bid.build(config(model=hub, evaluations=[])), H100)
        load = Work("seeds", "load", ModelRef(location=location), 1)
        seconds.append(estimator.seconds_of(load))
    weights = estimator.shape.parameters
    assert seconds[0] == pytest.approx(5 + 2 * weights / DISK)
    assert seconds[1] == pytest.approx(5 + 4 * weights * (1 / DISK + 1 / HASH))


def test_more_gpus_than_there_are_are_said():
    engine = {"name": "vllm", "replicas": 4}
    plan = make_plan(config(iterations=0, engine=engine), H100)
    assert "is asked for on 4 GPUs, and the plan is for 1; give --gpus 4" in next(headlines(plan))
    plan = make_plan(config(iterations=0), H100)
    assert len(list(headlines(plan))) == 1


def test_what_this_machine_lacks_is_said(monkeypatch):
    monkeypatch.setattr("harness.engines.ray.installed", lambda package: None)
    asked = config(iterations=0, engine={"name": "ray"})
    plan = make_plan(asked, replace(H100, here=True))
    assert "needs Ray, which is not installed" in plan.not_ready
    assert next(headlines(plan)).startswith("NOT READY: the engine 'ray' needs Ray")
    assert make_plan(asked, H100).not_ready == ""


def test_processes_that_share_cores_are_said():
    trainer = {**REQUEST["trainer"], "launcher": {"name": "accelerate", "processes": 4}}
    cpu = Fleet(replace(gpu("H100"), cpu=True, processes=2))
    plan = make_plan(config(trainer=trainer), cpu)
    assert any(
        "4 processes of a training share the cores of 2" in note for note in plan.assumptions
    )


def test_the_external_judge_ranks_once_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    ranks = {"name": "judge_agreement", "data": "OpenAssistant/oasst1::validation"}
    for judges, asked in ((["self", "external"], 1623), (["self"], 0)):
        asked_of = [ranks | {"judges": judges}]
        plan = make_plan(config(iterations=0, evaluations=asked_of), H100)
        marks = [
            part.rows
            for stage in plan.stages
            for name, part in stage.parts.items()
            if name.endswith("judge_agreement/mark")
        ]
        assert sum(rows or 0 for rows in marks) == asked


def test_a_run_on_other_hardware_tells_lengths_alone(tmp_path):
    store = Store(tmp_path / "run")
    with store.begin(Bench.build(config(iterations=0)).request, {"gpus": ["NVIDIA A10"]}):
        cost = Cost(rows=6, prompt_tokens=60, new_tokens=600, seconds=1e6)
        model = ModelRef(location="microworld")
        result = StageResult(stage=FIRST, model=model, costs={"M0/examiner": cost})
        store.finish_stage(result)
    for fleet in (H100, Fleet.of()):
        plan = plan_for(config(iterations=0), fleet, tmp_path, like=tmp_path / "run")
        assert part(plan, "00-evaluate", "M0/examiner").new_tokens == 600
        assert plan.seconds < 1e5
        assert any("ran on other hardware" in note for note in plan.assumptions)
        assert not any("another model" in note for note in plan.assumptions)
    other = config(iterations=0, model={"location": "meta-llama/Llama-3.1-8B"})
    plan = plan_for(other, H100, tmp_path, like=tmp_path / "run")
    assert any("run of another model (microworld)" in note for note in plan.assumptions)


def test_what_is_not_known_to_fit_is_not_said_to():
    launcher = {"name": "accelerate", "processes": 2, "strategy": "fsdp2", "offload": True}
    trainer = REQUEST["trainer"] | {"launcher": launcher}
    plan = make_plan(config(trainer=trainer), replace(H100, gpus=2))
    aside = [need for need in plan.memory if need.place == "machine"]
    whats = [need.what for need in aside]
    assert whats[0] == "reading what is trained"
    assert [what.partition(", ")[2] for what in whats[1:]] == ["what is offloaded"] * 2
    assert {need.fits for need in aside} == {None}
    assert _summary(plan)["fits"] is None
    known = replace(H100, gpus=2, machine_memory=10**12)
    assert _summary(make_plan(config(trainer=trainer), known))["fits"] is True


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("H100", None, 4), "give --gpus 4 or more"),
        (("H100", 2, 4), "the plan is for 2"),
        ((None, 8), "name the ones you mean with --gpu"),
        ((None, None, None, 2.5), "name the ones you mean with --gpu"),
        ((None, None, None, None, 10**12), "name the ones you mean with --gpu"),
    ],
)
def test_options_that_would_mean_nothing_are_refused(asked, says, monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: ())
    with pytest.raises(ConfigError, match=says):
        Fleet.of(*asked)


def test_an_evaluation_without_its_data_is_of_its_published_size(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    bench = [{"name": "alpaca_eval", "data": "alpaca_eval"}, {"name": "examiner", "limit": 2}]
    plan = make_plan(config(iterations=0, evaluations=bench), H100)
    assert part(plan, "00-evaluate", "M0/alpaca_eval").rows == 805
    assert part(plan, "00-evaluate", "M0/alpaca_eval/mark").rows == 805
    assert any("published size" in note for note in plan.assumptions)


def test_a_trainer_that_tells_nothing_is_unknown_not_nothing():
    class Mute:
        def check(self, model, seed, iterations):
            pass

    bid = Bid.build(config())
    bench = replace(bid.bench, trainer=plugins.Built("mute", Mute(), {"name": "mute"}))
    estimator = Estimator(replace(bid, bench=bench), H100)
    assert any("does not tell" in note for note in estimator.notes)
    assert [m.name for m in estimator.trainings[0].models] == ["SFT", "M1"]
    parts = estimator.stages()[Stage(iteration=1, kind="train")]
    assert parts["training"].speed is None


def test_what_cannot_be_planned_is_refused():
    with pytest.raises(DataError, match=r"hf download org/model config\.json"):
        make_plan(config(model={"location": "org/model"}), H100)
    with pytest.raises(DataError, match="no such folder"):
        make_plan(config(model={"location": "./nowhere"}), H100)
    assert issubclass(Absent, DataError)
    with pytest.raises(ConfigError, match="`tensor_parallel` is 3, which does not divide"):
        make_plan(config(), replace(H100, gpus=3, supposed=True, tensor_parallel=3))


def test_a_plan_loads_no_torch():
    code = (
        "import sys\n"
        "from harness.config import RunConfig, validate\n"
        "from harness.planning.plan import plan_for\n"
        "from harness.planning.fleet import Fleet\n"
        "from harness.planning.hardware import gpu\n"
        "from pathlib import Path\n"
        "import json\n"
        f"config = validate(RunConfig, json.loads({json.dumps(json.dumps(REQUEST))}), 'request')\n"
        "plan_for(config, Fleet(gpu('H100')), Path('.'))\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def written(folder):
    file = folder / "request.toml"
    file.write_text('iterations = 0\n[model]\nlocation = "microworld"\n')
    return str(file)


def test_the_command_prints_and_keeps_a_plan(tmp_path):
    out = tmp_path / "run"
    asked = ["plan", written(tmp_path), "--gpu", "l4", "--out", str(out)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "1 x L4" in done.output
    assert Store(out).plan().gpus == 1
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert json.loads(done.stdout)["hardware"].startswith("1 x L4")


@pytest.mark.parametrize(
    "option", [("--usd-per-gpu-hour", "inf"), ("--machine-memory", "nan"), ("--gpus", "9" * 9)]
)
def test_figures_that_nobody_has_are_refused(option, tmp_path):
    asked = ["plan", written(tmp_path), "--gpu", "H100", *option]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2
    assert option[0] in done.output


def test_bad_options_are_refused_in_a_line(tmp_path):
    for options, message in (
        (["--gpu", "H1000"], "did you mean"),
        (["--like", str(tmp_path / "nothing")], "holds no run"),
    ):
        asked = ["plan", written(tmp_path), "--out", str(tmp_path / "run"), *options]
        done = CliRunner().invoke(app, asked)
        assert message in str(done.exception)
