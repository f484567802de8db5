r"""What both ways of judging share: how a question is shown, and what becomes of failures.

history ("Hi", "Hello!"), prompt "Who are you?"
->  "User: Hi\n\nAssistant: Hello!\n\nUser: Who are you?"
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from harness.data.examples import RankedGroup
from harness.records import Failure, Metric, Outcome
from harness.statistics.agreement import gatherer
from harness.statistics.intervals import ratio

NO_ORDER = Failure(reason="no_order", detail="people ranked all responses equally")


def instruction(group: RankedGroup) -> str:
    """Write what was asked, with the turns that led to it where there are any."""
    if not group.history:
        return group.prompt
    turns = [
        f"{'Assistant' if place % 2 else 'User'}: {turn}"
        for place, turn in enumerate(group.history)
    ]
    return "\n\n".join([*turns, f"User: {group.prompt}"])


def failure_rate(asked: Sequence[tuple[Sequence[Outcome], str]]) -> Metric:
    """Compute the share of verdicts that could not be read.

    Args:
        asked: By request, its verdicts and the instruction that they are about.
    """
    gathered = gatherer([cluster for _, cluster in asked])
    unread = gathered([failures(outcomes).total() for outcomes, _ in asked])
    return ratio(unread, gathered([len(outcomes) for outcomes, _ in asked])).metric("failure_rate")


def unjudged(outcomes: Iterable[Outcome], missing: str) -> Failure:
    """Fail for the commonest cause, with a text of it.

    Args:
        outcomes: Of all verdicts, one failure at least.
        missing: What there is not, for so many failures.
    """
    failed = [one for one in outcomes if isinstance(one, Failure)]
    counts = failures(failed)
    first = max(failed, key=lambda one: counts[one.reason])
    return Failure(reason=first.reason, detail=f"{missing}: {first.detail}".removesuffix(": "))


def failures(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Count failures by cause."""
    return Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Failure))
