"""The nine NLP benchmarks: where lm-eval defines them, which data they read, what is reported.

    arc_challenge  task `arc_challenge`, arc/arc_challenge.yaml, test split
                   rows of arc_challenge_test.jsonl: question, choices, answerKey
                   headline acc_norm; 0 shots in the Llama 2 report, 25 on the Open LLM leaderboard

Each definition is a file of the `lm_eval` package; only what is around it is said here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Name = Literal[
    "arc_easy", "arc_challenge", "hellaswag", "siqa", "piqa", "gsm8k", "mmlu", "obqa", "nq"
]
NAMES: tuple[Name, ...] = get_args(Name)

Preset = Literal["llama2", "open_llm_leaderboard"]

PRESETS: Mapping[Preset, Mapping[Name, int]] = {
    # Touvron et al. 2023, section 4.1 and appendix, recalled and not checked against the report.
    "llama2": {"mmlu": 5, "gsm8k": 8, "nq": 5},
    # lm-eval's `openllm` group (version 1 of the leaderboard), and the tasks' own defaults.
    "open_llm_leaderboard": {"arc_challenge": 25, "hellaswag": 10, "mmlu": 5, "gsm8k": 5},
}
"""Examples shown before each question; 0 where a benchmark is not named."""

FEWSHOT_SEED = 1234
"""With which lm-eval draws the examples unless told otherwise."""

ACC, ACC_NORM = "acc,none", "acc_norm,none"
STRICT, FLEXIBLE = "exact_match,strict-match", "exact_match,flexible-extract"
EXACT = "exact_match,remove_whitespace"

METRICS: Mapping[str, str] = {
    ACC: "acc",
    ACC_NORM: "acc_norm",
    STRICT: "exact_match_strict",
    FLEXIBLE: "exact_match_flexible",
    EXACT: "exact_match",
}
"""lm-eval's `metric,filter` and the name that each has here."""


_QUESTION = ("context", "ctx_a", "ctx_b", "goal", "question", "question_stem")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark."""

    name: Name
    task: str
    """lm-eval's name: a task, or a group of tasks by subject."""
    definition: str
    """The file in `lm_eval/tasks`; `*` stands for a subject."""
    files: str
    """How the names of its data files begin."""
    evaluated: str
    """The split whose items are asked."""
    columns: tuple[str, ...]
    """What lm-eval reads of a row; a dot goes into an object."""
    is_answered: Callable[[Mapping[str, Any]], bool]
    """Whether a row's right answer is one that can be given: lm-eval would count another as wrong
    without a word."""
    metrics: tuple[str, ...]
    """lm-eval's keys; the first is the headline."""
    pool: tuple[str, ...] = ("train",)
    """Splits that examples are drawn from: the first that is there."""
    chat_headline: str | None = None
    """The headline where the chat template is used, if it is another."""
    note: str = ""

    def question(self, row: Mapping[str, Any]) -> str:
        """Write the question of a row, without examples and without what may be answered."""
        asked = (str(row[column]) for column in self.columns if column in _QUESTION)
        return " ".join(filter(None, asked))

    @property
    def by_subject(self) -> bool:
        """Whether it is a group with a task for each subject."""
        return "*" in self.definition

    def headline(self, chat: bool) -> str:
        """Choose the metric that is reported under the benchmark's own name."""
        return (self.chat_headline if chat else None) or self.metrics[0]


def _letter(row: Mapping[str, Any]) -> bool:
    return row["answerKey"].lstrip() in row["choices"]["label"]


def _ending(row: Mapping[str, Any]) -> bool:
    return int(row["label"]) in range(len(row["endings"]))


def _subject_letter(row: Mapping[str, Any]) -> bool:
    return len(row["choices"]) == 4 and row["answer"] in range(4)


def _gold_answers(row: Mapping[str, Any]) -> bool:
    return isinstance(row["answer"], list) and bool(row["answer"])


_OPTIONS = ("choices.text", "choices.label", "answerKey")

BENCHMARKS: Mapping[Name, Benchmark] = {
    one.name: one
    for one in (
        Benchmark(
            name="arc_easy",
            task="arc_easy",
            definition="arc/arc_easy.yaml",
            files="arc_easy",
            evaluated="test",
            columns=("question", *_OPTIONS),
            is_answered=_letter,
            metrics=(ACC, ACC_NORM),
        ),
        Benchmark(
            name="arc_challenge",
            task="arc_challenge",
            definition="arc/arc_challenge.yaml",
            files="arc_challenge",
            evaluated="test",
            columns=("question", *_OPTIONS),
            is_answered=_letter,
            metrics=(ACC_NORM, ACC),
        ),
        Benchmark(
            name="hellaswag",
            task="hellaswag",
            definition="hellaswag/hellaswag.yaml",
            files="hellaswag",
            evaluated="validation",
            columns=("activity_label", "ctx_a", "ctx_b", "endings", "label"),
            is_answered=_ending,
            metrics=(ACC_NORM, ACC),
        ),
        Benchmark(
            name="siqa",
            task="social_iqa",
            definition="siqa/siqa.yaml",
            files="siqa",
            evaluated="validation",
            columns=("context", "question", "answerA", "answerB", "answerC", "label"),
            is_answered=lambda row: str(row["label"]).strip() in ("1", "2", "3"),
            metrics=(ACC,),
        ),
        Benchmark(
            name="piqa",
            task="piqa",
            definition="piqa/piqa.yaml",
            files="piqa",
            evaluated="validation",
            columns=("goal", "sol1", "sol2", "label"),
            is_answered=lambda row: row["label"] in (0, 1),
            metrics=(ACC, ACC_NORM),
        ),
        Benchmark(
            name="gsm8k",
            task="gsm8k",
            definition="gsm8k/gsm8k.yaml",
            files="gsm8k",
            evaluated="test",
            columns=("question", "answer"),
            is_answered=lambda row: "####" in row["answer"],
            metrics=(STRICT, FLEXIBLE),
            chat_headline=FLEXIBLE,
            note="strict wants the number after ####, flexible takes the last number",
        ),
        Benchmark(
            name="mmlu",
            task="mmlu",
            definition="mmlu/default/mmlu_*.yaml",
            files="mmlu",
            evaluated="test",
            columns=("question", "choices", "answer", "subject"),
            is_answered=_subject_letter,
            metrics=(ACC,),
            pool=("dev",),
        ),
        Benchmark(
            name="obqa",
            task="openbookqa",
            definition="openbookqa/openbookqa.yaml",
            files="openbookqa",
            evaluated="test",
            columns=("question_stem", *_OPTIONS),
            is_answered=_letter,
            metrics=(ACC_NORM, ACC),
        ),
        Benchmark(
            name="nq",
            task="nq_open",
            definition="nq_open/nq_open.yaml",
            files="nq_open",
            evaluated="validation",
            columns=("question", "answer"),
            is_answered=_gold_answers,
            metrics=(EXACT,),
            # The 1,800 questions of EfficientQA stand in where the train split is not to be had.
            pool=("train", "efficientqa_dev"),
            note="an answer ends at a comma, full stop or new line: a whole sentence is wrong",
        ),
    )
}
