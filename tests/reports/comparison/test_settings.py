import pytest

from harness.errors import ConfigError
from harness.protocols import NamedRun
from reports.comparison.settings import Difference, differences, settings


def test_runs_that_differ_in_their_seed_alone_are_one_setting(seeds):
    [setting] = settings(seeds)
    assert (setting.name, setting.seeds) == ("seed0 (3 seeds)", ("0", "1", "2"))


def test_what_changes_no_figure_makes_no_setting(make):
    other = make(1, options={"guards": {"on_collapse": "warn"}})
    other = other.model_copy(update={"request": {**other.request, "reports": []}})
    assert len(settings([NamedRun("a", make(0)), NamedRun("b", other)])) == 1


def test_a_field_that_older_versions_lack_is_no_difference_where_it_is_null(make):
    old, new = make(0), make(1)
    asked = {**new.request, "judge": None}
    runs = [NamedRun("a", old), NamedRun("b", new.model_copy(update={"request": asked}))]
    assert len(settings(runs)) == 1


def test_settings_differ_in_exactly_the_fields_that_are_named(seeds, positives):
    found = settings([*seeds, *positives])
    assert [one.name for one in found] == ["seed0 (3 seeds)", "positives0 (3 seeds)"]
    assert differences(found) == (Difference("trainer.learn_from", ("preferences", "positives")),)


def test_what_one_setting_lacks_altogether_is_one_place(make):
    fewer, request = make(0), make(0).request
    asked = {**request, "evaluations": request["evaluations"][:2]}
    without = fewer.model_copy(update={"request": asked})
    found = settings([NamedRun("a", fewer), NamedRun("b", without)])
    assert differences(found) == (Difference("evaluations.judge_agreement", ("given", "nothing")),)


def test_a_file_is_what_is_in_it_not_what_it_is_called(make):
    def naming(path: str, digest: str, seed: int) -> NamedRun:
        run = make(seed, options={"rubric": path})
        return NamedRun(
            path, run.model_copy(update={"request": {**run.request, "contents": {path: digest}}})
        )

    same = [naming("/here/mine.txt", "abc", 0), naming("/there/yours.txt", "abc", 1)]
    assert len(settings(same)) == 1
    other = settings([*same, naming("/there/mine.txt", "def", 2)])
    assert differences(other) == (
        Difference("trainer.rubric", ("mine.txt (abc)", "mine.txt (def)")),
    )


def test_versions_of_the_harness_are_settings(make):
    newer = make(1).model_copy(update={"environment": {"harness": "0.2.0"}})
    found = settings([NamedRun("a", make(0)), NamedRun("b", newer)])
    assert differences(found) == (Difference("harness version", ("0.1.0", "0.2.0")),)


def test_a_copy_of_a_run_is_refused_by_name(make):
    with pytest.raises(ConfigError, match=r"a and copy are the same run: .* seed 0; name only one"):
        settings([NamedRun("a", make(0)), NamedRun("b", make(1)), NamedRun("copy", make(0))])
