"""When a run stops because its judgements cannot be trained on, and what it says."""

import pytest

from harness.errors import CollapseError
from training.self_rewarding.guards import Watch
from training.self_rewarding.settings import Guards


def watch(**guards: object) -> Watch:
    return Watch(Guards(**guards), "M1")


def test_too_many_unreadable_verdicts() -> None:
    watch().verdicts(100, {"no_score": 6, "truncated": 4})
    with pytest.raises(
        CollapseError,
        match=r"M1 cannot judge: 11% of its 100 verdicts could not be read "
        r"\(no_score 7, truncated 4\); at most 10% may be\. .* "
        r'set trainer\.guards\.on_collapse = "warn"$',
    ):
        watch().verdicts(100, {"truncated": 4, "no_score": 7})


def test_too_few_answers_that_end() -> None:
    watch().ended(100, 95)
    with pytest.raises(
        CollapseError,
        match=r"M1 does not end its answers: 94 of 100 .* at least 95% must.*candidates\.max",
    ):
        watch().ended(100, 94)


def test_shares_of_a_few_rows_say_nothing() -> None:
    watch().verdicts(29, {"no_score": 29})
    watch().ended(29, 0)
    with pytest.raises(CollapseError):
        watch().verdicts(30, {"no_score": 30})
    with pytest.raises(CollapseError):
        watch().ended(30, 0)


def test_the_limits_can_be_set() -> None:
    loose = watch(parse_failures=0.5, ended=0.2)
    loose.verdicts(100, {"no_score": 50})
    loose.ended(100, 20)
    assert loose.warnings == []
    with pytest.raises(CollapseError):
        watch(parse_failures=0.0, least_verdicts=1).verdicts(1, {"no_score": 1})


def test_it_goes_on_with_a_warning_where_it_is_told_to() -> None:
    warned = watch(on_collapse="warn")
    warned.verdicts(100, {"no_score": 60})
    warned.ended(100, 10)
    warned.judgements(3, [4.0, 4.0], {})
    warned.positives(0)
    assert [w.split(":")[0] for w in warned.warnings] == [
        "M1 cannot judge",
        "M1 does not end its answers",
        "all 2 judgements to learn from give the same score, 4",
        "M1 judged no answer perfect",
    ]
    assert not any("on_collapse" in w for w in warned.warnings)


@pytest.mark.parametrize("on_collapse", ["stop", "warn"])
def test_nothing_to_learn_from_cannot_be_waived(on_collapse: str) -> None:
    guard = watch(on_collapse=on_collapse)
    guard.pairs(300, 1, {"tie": 299})
    with pytest.raises(
        CollapseError,
        match=r"M1 left no preference pair of 300 prompts \(identical 1, tie 299\): its judgements",
    ):
        guard.pairs(300, 0, {"tie": 299, "identical": 1})
    with pytest.raises(
        CollapseError, match=r"none of the 60 EFT groups .* \(unreadable 60\).*annotator = .data."
    ):
        guard.judgements(60, [], {"unreadable": 60})


def test_judgements_that_all_say_the_same_teach_nothing() -> None:
    watch().judgements(2, [4.0, 4.0, 5.0], {})
    with pytest.raises(CollapseError, match=r"all 3 judgements .* same score, 4: they teach"):
        watch().judgements(2, [4.0, 4.0, 4.0], {"unreadable": 1})


def test_a_round_without_a_perfect_answer_has_nothing_to_imitate() -> None:
    watch().positives(1)
    with pytest.raises(CollapseError, match=r"^M1 judged no answer perfect: .*same rows as this"):
        watch().positives(0)
