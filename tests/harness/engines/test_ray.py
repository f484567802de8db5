"""The door of the `ray` engine: what a request may say, and what is found out before anything."""

import subprocess
import sys

import pytest

from harness import plugins
from harness.config import Choice
from harness.engines import ray as door
from harness.engines import vllm_environment
from harness.engines.ray import Ray
from harness.errors import ConfigError, PluginError
from harness.records import ModelRef


def build(**options):
    return plugins.build(plugins.ENGINES, Choice(name="ray", **options))


def test_the_inner_engines_defaults_are_written_out():
    built = build(engine="transformers", replicas=2)
    assert built.options["engine"]["batch_rows"] == 256
    assert built.options["engine"]["name"] == "transformers"
    assert built.options["replicas"] == 2
    assert built.options["cluster"]["address"] is None
    assert build(engine={"name": "transformers", "batch_rows": 8}).options != built.options
    again = {key: value for key, value in built.options.items() if key != "name"}
    assert build(**again).options == built.options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": {"name": "transformers", "batch_row": 8}}, "did you mean 'batch_rows'"),
        ({"engine": "openai"}, "'openai' asks many at once by itself"),
        ({"engine": "ray"}, "'ray' asks many at once by itself"),
        ({"replicas": 0}, "replicas"),
        ({"cluster": {"adress": "auto"}}, "did you mean 'address'"),
        ({"cluster": {"address": ""}}, "must be `auto` or `host:port`"),
        ({"cluster": {"address": "http://somewhere:1"}}, "cluster.address"),
        (
            {"cluster": {"address": "somewhere"}},
            "must be `auto` or `host:port`, as in `head:6379`, not 'somewhere'",
        ),
    ],
)
def test_what_it_does_not_understand_is_refused_at_the_start(options, said):
    with pytest.raises(ConfigError, match=said):
        build(**options)


def test_an_engine_that_is_not_there_is_refused_at_the_start():
    with pytest.raises(PluginError, match=r"'tranformers' is not in harness\.engines"):
        build(engine="tranformers")


def test_ray_itself_may_be_missing(monkeypatch):
    monkeypatch.setattr(door, "installed", lambda package: None)
    engine = Ray(Ray.Config(engine="scripted"))
    with pytest.raises(ConfigError, match=r"needs Ray, which is not installed: pip install"):
        engine.check(ModelRef(location="any"))
    with pytest.raises(ConfigError, match="needs Ray"), engine.open(ModelRef(location="any")):
        pass


@pytest.mark.parametrize("version", ["1.13.0", "2.9.3", "2.59.0"])
def test_ray_may_be_too_old(monkeypatch, version):
    monkeypatch.setattr(door, "installed", lambda package: version)
    with pytest.raises(ConfigError, match=rf"needs Ray 2.60 or newer, and {version} is installed"):
        Ray(Ray.Config(engine="scripted")).check(ModelRef(location="any"))


@pytest.mark.parametrize("version", ["2.60.0", "2.61.1rc1", "3.0.0"])
def test_newer_ones_are_tried(monkeypatch, version):
    monkeypatch.setattr(door, "installed", lambda package: version)
    Ray(Ray.Config(engine="scripted")).check(ModelRef(location="any"))


def test_the_door_imports_neither_ray_nor_torch():
    code = (
        "import sys; from harness.engines.ray import Ray; Ray(Ray.Config()); "
        "sys.exit('ray' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_the_engine_needs_is_found_out_before_it_is_spread(monkeypatch, tmp_path):
    monkeypatch.setattr(door, "installed", lambda package: "2.60.0")
    monkeypatch.setenv(vllm_environment.VARIABLE, str(tmp_path / "python"))
    model = ModelRef(location="microworld")
    with pytest.raises(ConfigError, match=vllm_environment.VARIABLE):
        Ray(Ray.Config(engine="vllm")).check(model)
    monkeypatch.setattr(door, "reach", lambda address: None)
    elsewhere = door.Cluster(address="there:1")
    Ray(Ray.Config(engine="vllm", cluster=elsewhere)).check(model)  # those machines may have it
    three = Choice(name="vllm", tensor_parallel=3)
    with pytest.raises(ConfigError, match="tensor_parallel` is 3, which does not divide"):
        Ray(Ray.Config(engine=three, cluster=elsewhere)).check(model)


def test_a_cluster_that_is_not_there_is_found_out_at_the_start(monkeypatch):
    monkeypatch.setattr(door, "installed", lambda package: "2.60.0")
    engine = Ray(Ray.Config(cluster=door.Cluster(address="127.0.0.1:1")))
    with pytest.raises(ConfigError, match=r"no Ray cluster at 127\.0\.0\.1:1 .*refused"):
        engine.check(ModelRef(location="microworld"))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:2")
    engine = Ray(Ray.Config(cluster=door.Cluster(address="auto")))
    with pytest.raises(ConfigError, match=r"no Ray cluster at 127\.0\.0\.1:2 .*refused"):
        engine.check(ModelRef(location="microworld"))


def test_more_replicas_than_this_machine_has_cores_for_are_refused_at_once(monkeypatch):
    monkeypatch.setattr(door, "installed", lambda package: "2.60.0")
    with pytest.raises(ConfigError, match="1000 replicas of"):
        Ray(Ray.Config(replicas=1000, cluster=door.Cluster(cpus=0.5))).check(ModelRef(location="x"))
