import pytest

from harness.config import RunConfig, capped, presets, read_config
from harness.errors import ConfigError


def write(tmp_path, text):
    path = tmp_path / "request.toml"
    path.write_text(text)
    return str(path)


def test_every_preset_is_a_request():
    assert "micro" in presets()
    for name in presets():
        assert read_config(name, {}).evaluations


def test_the_command_line_wins(tmp_path):
    path = write(tmp_path, 'iterations = 1\n[model]\nlocation = "m"\n')
    assert read_config(path, {"iterations": 2, "seed": None}).iterations == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[model]\nlocatoin = "m"\n', "unknown key 'model.locatoin', did you mean 'location'"),
        ('iteration = 3\n[model]\nlocation = "m"\n', "did you mean 'iterations'"),
        ("", "'model' is missing"),
        ('iterations = "many"\n[model]\nlocation = "m"\n', "'iterations'.*integer.*'many'"),
        ('iterations = -1\n[model]\nlocation = "m"\n', "'iterations'.*greater"),
        ("iterations = \n", "request.toml.*line 1"),
        ('evaluations = ["a", "a"]\n[model]\nlocation = "m"\n', "name a more than once"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        read_config(write(tmp_path, text), {})
    assert "\n" not in str(caught.value)


def test_a_request_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"neither a file nor one of.*micro"):
        read_config(str(tmp_path / "absent.toml"), {})
    with pytest.raises(ConfigError):
        read_config(str(tmp_path), {})
    with pytest.raises(ConfigError, match=r"did you mean llama-3\.1-8b\?"):
        read_config("llama-3-8b", {})


def test_the_command_line_caps_what_the_judge_may_cost():
    paid = {
        "model": {"location": "microworld"},
        "judge": {
            "engine": {"name": "openai", "guards": {"unanswered": "count", "max_usd": 1}},
            "model": {"location": "gpt-6-sol"},
        },
    }
    config = capped(RunConfig.model_validate(paid), 5)
    assert config.judge.engine.options == {"guards": {"unanswered": "count", "max_usd": 5}}
    with pytest.raises(ConfigError, match="this request has none"):
        capped(RunConfig.model_validate({"model": {"location": "microworld"}}), 5)
