import pytest

from harness import plugins
from harness.config import Choice
from harness.errors import ConfigError, PluginError


def test_a_strangers_package_is_found_by_its_metadata():
    names = [entry.name for entry in plugins.installed(plugins.TRAINERS)]
    assert {"absent", "renaming"} < set(names)
    assert names == sorted(names)


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(PluginError, match=r"which has:.*judge_agreement"):
        plugins.build(plugins.EVALUATIONS, Choice(name="nope"))


def test_a_plugin_checks_its_own_options_and_keeps_its_defaults():
    built = plugins.build(plugins.EVALUATIONS, Choice(name="politeness", strict=True))
    assert built.options == {"name": "politeness", "questions": 4, "strict": True}
    with pytest.raises(
        ConfigError, match="politeness: unknown key 'strickt', did you mean 'strict'"
    ):
        plugins.build(plugins.EVALUATIONS, Choice(name="politeness", strickt=True))


def test_a_plugin_that_cannot_be_imported_is_named():
    with pytest.raises(PluginError, match=r"'absent'.*no_such_module"):
        plugins.build(plugins.TRAINERS, Choice(name="absent"))
