"""Every figure of the method, with the paper's value as the default where the paper states one.

The measured values for the embedded micro-world are in `harness/presets/micro.toml`.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from harness.protocols import Sampling
from harness.records import Record
from training.dpo import DPO
from training.self_rewarding.propose import Proposing
from training.settings import IN_PROCESS, Launcher
from training.sft import SFT


class Draw(Record):
    """How completions are drawn, and how many."""

    n: int = Field(default=1, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    max_tokens: int = Field(default=1024, ge=1)

    def sampling(self, seed: int, n: int | None = None) -> Sampling:
        """The same, as an engine understands it; `n` where another number is wanted."""
        return Sampling(
            n=n or self.n,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=seed,
        )


class Seeds(Record):
    """The human data that M1 learns from (section 3.1.1 of the paper)."""

    ift: str | tuple[str, ...]
    """Demonstrations: a file, a hub name or a `microworld:` source, or several of them."""
    ift_rows: int | None = Field(default=None, ge=1)
    """At most so many, drawn from what is left; the paper has 3,200."""
    eft: str | tuple[str, ...] | None = None
    """Ranked answers to learn judging from; left out, it is the paper's ablation without EFT."""
    eft_groups: int | None = Field(default=None, ge=1)
    """At most so many prompts with their ranked answers."""
    ift_share: float = Field(default=0.5, ge=0, le=1)
    """Of the prompts that both sources have, the share that goes to IFT; the others to EFT."""
    held_out: tuple[str, ...] = ()
    """What evaluations use: its prompts and answers are kept out of training."""
    disjoint: bool = True
    """Keep IFT and EFT apart by prompt. The micro-world draws its seeds from so few questions that
    they must overlap."""
    annotator: Literal["sft", "data"] = "sft"
    """Who writes the judgements: the SFT baseline (the paper), or the data has them already."""
    most_common_share: float = Field(default=0.5, gt=0, le=1)
    """The most common score is thinned until it has at most this share. The paper thins its 4s
    and does not say how far."""
    annotation: Draw = Draw()


class Guards(Record):
    """When to stop, because the judgements can no longer be trained on."""

    parse_failures: float = Field(default=0.10, ge=0, le=1)
    """The largest share of verdicts that may be unreadable."""
    ended: float = Field(default=0.95, ge=0, le=1)
    """The least share of candidates that must end by themselves."""
    least_verdicts: int = Field(default=30, ge=1)
    """Judge the shares only once so many rows are there."""
    on_collapse: Literal["stop", "warn"] = "stop"


class Selection(Record):
    """Early stopping by comparing each checkpoint with the one before (section 3.1.3).

    The paper saves every 200 steps and lets Claude 2 compare generations on 253 validation
    prompts. Here M_t judges them, as it judges its candidates; of M1's own training M1 does, and
    of the SFT baseline's nobody could, so that its last one is kept. Checkpoints are saved every
    `checkpoint_every` steps of `sft` and `dpo`.
    """

    prompts: str
    """Kept out of training, like `seeds.held_out`; in the micro-world `microworld:evaluation`."""
    rows: int | None = Field(default=253, ge=1)


class SelfRewardingSettings(Record):
    """Options of the `self_rewarding` trainer."""

    seeds: Seeds
    rubric: str = "five_points"
    """A built-in rubric, or a file of your own with {instruction} and {response}."""
    chat_template: Path | None = None
    """A file with a chat template, for a tokenizer without one; name it in the engine's option
    of the same name too."""
    sft: SFT
    dpo: DPO
    proposing: Proposing = Proposing()
    candidates: Draw = Draw(n=4)
    judging: Draw = Draw(n=3, max_tokens=512)
    judge: Literal["self", "random"] = "self"
    """`random` is a control: points drawn by chance, which must not help."""
    learn_from: Literal["preferences", "positives"] = "preferences"
    """`positives` is the paper's ablation A.4: fine-tune M0 on the seeds and on the answers that
    were judged perfect."""
    guards: Guards = Guards()
    selection: Selection | None = None
    launcher: Launcher = IN_PROCESS
    """Where `sft` and `dpo` run; it may change in a run that goes on."""

    @property
    def held_out(self) -> tuple[str, ...]:
        """All that nothing may be trained on."""
        validation = (self.selection.prompts,) if self.selection else ()
        return (*self.seeds.held_out, *validation)

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.selection and not (self.sft.checkpoint_every and self.dpo.checkpoint_every):
            raise ValueError("selection needs sft.checkpoint_every and dpo.checkpoint_every")
        if self.dpo.lora and self.dpo.lora.save == "adapter":
            raise ValueError(
                'dpo.lora.save = "adapter" would leave each M_t an adapter on the one before; '
                'set "merged"'
            )
        return self
