import pytest

from harness.config import RunConfig, validate
from harness.errors import ConfigError, DataError
from harness.protocols import Workspace
from harness.records import ModelRef
from harness.run import run
from harness.store import Store
from reports.series import chain
from training.checkpoints import Checkpoints

M0 = ModelRef(location="org/base")


def trainer(*models):
    return Checkpoints(validate(Checkpoints.Config, {"models": list(models)}, "here"))


def improved(checkpoints, iterations, tmp_path):
    made = [M0]
    for iteration in range(1, iterations + 1):
        workspace = Workspace(tmp_path, engine=None, seed=0, lineage=tuple(made))
        made.append(checkpoints.improve(made[-1], iteration, workspace).model)
    return made


def test_models_come_in_order_each_the_child_of_the_one_before(tmp_path):
    final = {"name": "final", "location": "org/final", "revision": "abc", "parent": "M1"}
    checkpoints = trainer("org/one", "org/two", final)
    checkpoints.check(M0, 0, 3)
    made = improved(checkpoints, 3, tmp_path)
    assert [(one.name, one.location, one.parent) for one in made[1:]] == [
        ("M1", "org/one", "M0"),
        ("M2", "org/two", "M1"),
        ("final", "org/final", "M1"),
    ]
    assert made[-1].revision == "abc"


@pytest.mark.parametrize(
    ("models", "iterations", "says"),
    [
        (["a/b"], 2, "has 1 models, and the run has 2 iterations; .* --iterations 1"),
        ([{"location": "a/b", "name": "M0"}], 1, "names M0 twice"),
        ([{"location": "a/b", "name": "M2"}, "a/c"], 2, "names M2 twice"),
        ([{"location": "a/b", "parent": "M1"}], 1, "M1 has the parent M1, and before it .* M0;"),
    ],
)
def test_a_series_that_cannot_be_is_refused_before_anything_runs(models, iterations, says):
    with pytest.raises(ConfigError, match=says):
        trainer(*models).check(M0, 0, iterations)


@pytest.mark.parametrize("location", ["./nowhere", "/nowhere/at/all", "nowhere.jsonl"])
def test_a_path_with_nothing_there_is_refused_before_anything_runs(location):
    with pytest.raises(DataError, match=r"there is nothing at .*, where M2 is said to be"):
        trainer("org/one", location).check(M0, 0, 2)


def test_a_series_has_a_model():
    with pytest.raises(ConfigError, match="models"):
        trainer()
    with pytest.raises(ConfigError, match="models"):
        validate(Checkpoints.Config, {"models": "org/one"}, "here")


def test_a_run_measures_the_series_in_order(tmp_path):
    request = {
        "model": {"location": "script"},
        "iterations": 1,
        "engine": "scripted",
        "trainer": {"name": "checkpoints", "models": ["one", {"name": "two", "location": "2"}]},
        "evaluations": ["politeness"],
        "reports": [],
    }
    store = Store(tmp_path / "run")
    assert chain(run(RunConfig.model_validate(request), store)) == ("M0", "M1")
    grown = run(RunConfig.model_validate(request | {"iterations": 2}), store)
    assert chain(grown) == ("M0", "M1", "two")
    with pytest.raises(ConfigError, match="has 2 models, and the run has 3 iterations"):
        run(RunConfig.model_validate(request | {"iterations": 3}), store)
    assert store.record().request["iterations"] == 2
