"""How many calls to make at once: as many as allowed, and fewer while the server throttles.

    32 at once -> a call is throttled -> 16 -> 16 calls are answered -> 17 -> ...

Additive increase, multiplicative decrease (Chiu and Jain 1989): one more for every round of
answers, half of it for a call that was throttled or timed out. Calls that were under way at that
moment do not halve it again.
"""

_THROTTLED_IN_A_ROW, _FAILED_IN_A_ROW = 1, 8


class Concurrency:
    """A number of calls at once that adapts. Times are seconds on any clock that only grows."""

    def __init__(self, most: int) -> None:
        self.limit = float(most)
        self.in_flight = 0
        self._most = most
        self._halved = float("-inf")
        self._failed = 0
        self._closed_until = float("-inf")

    def wait(self, now: float) -> float | None:
        """Seconds until a call may begin; None where one has to end first."""
        if now < self._closed_until:
            return self._closed_until - now
        return 0 if self.in_flight < int(self.limit) else None

    def begin(self) -> None:
        """A call begins."""
        self.in_flight += 1

    def end(self) -> None:
        """A call ends, in whatever way."""
        self.in_flight -= 1

    def answered(self) -> None:
        """A call was answered: there may be room for more."""
        self._failed = 0
        self.limit = min(self._most, self.limit + 1 / self.limit)

    def failed(self, began: float, now: float, pause: float, throttled: bool) -> None:
        """A call that began then failed, and is not made again for `pause` seconds.

        Where that happens again and again, all others pause as well: a few failures are chance,
        more of them are a server that is down, or has no room at all.
        """
        self._failed += 1
        if self._failed > (_THROTTLED_IN_A_ROW if throttled else _FAILED_IN_A_ROW):
            self._closed_until = max(self._closed_until, now + pause)
        if throttled and began >= self._halved:
            self.limit = max(1.0, self.limit / 2)
            self._halved = now
