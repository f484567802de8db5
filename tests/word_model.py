"""A tiny language model of words, to be behind the judge server's text completions.

    model = WordModel(["The", " dog", " barks", "."])
    model.encode("The dog.")            (95, 96, 98): the words come after 95 single characters
    model.logprobs((95,))[96]           natural log of the probability of " dog" after "The"

Probabilities depend on the last two tokens, by a hash, so that every server has the same ones.
"""

import math
from collections.abc import Sequence
from functools import cache
from random import Random

CHARACTERS = "\n" + "".join(map(chr, range(32, 126)))


class WordModel:
    """Single characters, words, an end token and, where asked, one that every text begins with."""

    def __init__(self, words: Sequence[str], bos: bool = False) -> None:
        self.pieces = [*CHARACTERS, *words]
        self.end = len(self.pieces)
        self.begin = self.end + 1 if bos else None
        self._ids = {piece: id for id, piece in enumerate(self.pieces)}
        self._longest = max(map(len, self.pieces))
        self.logprobs = cache(self._logprobs)

    def encode(self, text: str) -> tuple[int, ...]:
        """Take the longest piece, again and again."""
        ids = [] if self.begin is None else [self.begin]
        while text:
            lengths = range(self._longest, 0, -1)
            piece = next(text[:length] for length in lengths if text[:length] in self._ids)
            ids.append(self._ids[piece])
            text = text[len(piece) :]
        return tuple(ids)

    def piece(self, id: int) -> str:
        return "</s>" if id == self.end else "<s>" if id == self.begin else self.pieces[id]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.pieces[id] for id in ids if id < self.end)

    def _logprobs(self, last: tuple[int, ...]) -> list[float]:
        random = Random(repr(last[-2:]))
        weights = [random.random() ** 8 for _ in range(self.end + 1)]
        total = sum(weights)
        return [math.log(weight / total) for weight in weights]

    def draw(self, ids: Sequence[int], temperature: float, random: Random) -> int:
        """Draw the next token."""
        logprobs = self.logprobs(tuple(ids[-2:]))
        if temperature == 0:
            return logprobs.index(max(logprobs))
        weights = [math.exp(logprob / temperature) for logprob in logprobs]
        return random.choices(range(len(weights)), weights)[0]

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
        """Compute a continuation's log-probability, and say whether it is greedy."""
        total, greedy, ids = 0.0, True, list(prompt)
        for id in continuation:
            logprobs = self.logprobs(tuple(ids[-2:]))
            total, greedy = total + logprobs[id], greedy and logprobs[id] == max(logprobs)
            ids.append(id)
        return total, greedy
