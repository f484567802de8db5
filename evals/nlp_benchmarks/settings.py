"""What a request says about the nine benchmarks.

[[evaluations]]
name = "nlp_benchmarks"
data = "data/nlp"
preset = "open_llm_leaderboard"
shots = { nq = 5 }              # and the preset's for the others
benchmarks = ["arc_challenge", "nq"]
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from evals.nlp_benchmarks.benchmarks import NAMES, PRESETS, Name, Preset
from harness.records import Record


class Settings(Record):
    """Which benchmarks are asked, and how. The defaults suit the embedded world."""

    data: str = "microworld"
    """`microworld`, a folder of files (see `evals.nlp_benchmarks.data`), or `hub` for the data
    sets that lm-eval itself names, which it downloads."""
    benchmarks: tuple[Name, ...] = NAMES
    preset: Preset = "llama2"
    """How many examples are shown before each question: as in the Llama 2 report (recalled), or as
    on the first Open LLM leaderboard."""
    shots: dict[Name, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Examples of single benchmarks, instead of the preset's."""
    limit: int | None = Field(default=None, gt=0)
    """Ask only the first so many items of each benchmark, as lm-eval's `limit` does: of MMLU, of
    each subject."""
    chat_template: bool = False
    """Whether contexts are conversations, with each example as two turns. Published figures of
    pretrained models are without."""
    too_long: Literal["fail", "truncate"] = "fail"
    """What becomes of an item that does not fit the model's context: it fails and is counted, or
    its context is cut from the left, as lm-eval's own backends do without a word."""
    max_gen_toks: int = Field(default=256, gt=0)
    """The most tokens of a generated answer: 256 is lm-eval's default."""

    @field_validator("benchmarks")
    @classmethod
    def _some_once(cls, value: tuple[Name, ...]) -> tuple[Name, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError(f"name some of {', '.join(NAMES)}, each once")
        return value

    def shots_of(self, name: Name) -> int:
        """How many examples are shown before each question of a benchmark."""
        return self.shots.get(name, PRESETS[self.preset].get(name, 0))
