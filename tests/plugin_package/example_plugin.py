"""A stranger's package: plug-ins that are found by their metadata and never installed.

`Politeness` asks for a greeting a few times and counts how often it comes with "please".
`Renaming` improves nothing: it hands the same weights back under the next name.
`Postcard` tells one person how polite a model was.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import JsonValue

from harness.protocols import (
    Bundle,
    Entry,
    Improvement,
    LoadedModel,
    Request,
    RowLog,
    Rule,
    Sampling,
    Workspace,
    user,
)
from harness.records import EvalResult, ItemResult, Metric, ModelRef, Record, Score
from harness.statistics.intervals import share


class Politeness:
    needs_judge: ClassVar[bool] = False

    class Config(Record):
        questions: int = 4
        strict: bool = False

    def __init__(self, config: Config) -> None:
        self.config = config

    def question_texts(self) -> dict[str, str]:
        return {str(n): f"Greet guest {n}." for n in range(self.config.questions)}

    def answer(self, model: LoadedModel, log: RowLog) -> None:
        asked = [
            Request(id, user(question), Sampling(max_tokens=40))
            for id, question in self.question_texts().items()
        ]
        for completion in model.generate(r for r in asked if r.id not in log):
            log.append(completion.id, completion.text)

    def mark(
        self,
        model: ModelRef,
        log: RowLog,
        judge: LoadedModel,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        items = tuple(
            ItemResult(
                id=str(n),
                answer=log[str(n)],
                outcome=Score(value=float("please" in log[str(n)])),
                details={"earlier": [result.model for result in earlier]},
            )
            for n in range(self.config.questions)
        )
        share = sum(item.outcome.value for item in items) / len(items)
        return EvalResult(
            evaluation="politeness",
            model=model.name,
            protocol="politeness-1",
            metrics=(Metric(name="polite", value=share, n=len(items)),),
            items=items,
        )

    @staticmethod
    def score(files: Sequence[Path]) -> Sequence[EvalResult]:
        said = [line for file in files for line in file.read_text().splitlines()]
        polite = sum("please" in line for line in said)
        metric = share(polite, len(said)).metric("polite", failed=1, note="by hand")
        return [
            EvalResult(
                evaluation="politeness", model="file", protocol="politeness-1", metrics=(metric,)
            )
        ]


class Renaming:
    class Config(Record):
        fail_at: int = 0

    def __init__(self, config: Config) -> None:
        self.config = config

    def check(self, model: ModelRef, seed: int, iterations: int) -> None:
        """Nothing can be missing."""

    def improve(self, model: ModelRef, iteration: int, workspace: Workspace) -> Improvement:
        with workspace.part("rename"), workspace.log("attempts") as log:
            log.append(str(len(log)), workspace.seed)
            if iteration == self.config.fail_at and len(log) == 1:
                raise RuntimeError("the power went out")
        made = model.model_copy(update={"name": f"M{iteration}", "parent": model.name})
        baseline = (made.model_copy(update={"name": "SFT"}),) if iteration == 1 else ()
        lineage: list[JsonValue] = [m.name for m in workspace.lineage]
        prompts = {f"greetings {iteration}": (f"greet  Guest {iteration}.", "Say goodbye.")}
        return Improvement(made, baseline, {"lineage": lineage}, prompts)


class Postcard:
    """A card with one figure on it."""

    target: ClassVar[str] = "whoever it is addressed to"

    class Config(Record):
        to: str = "grandmother"
        outside: bool = False

    def __init__(self, config: Config) -> None:
        self.config = config

    def write(self, entry: Entry) -> Bundle:
        [polite] = [
            metric.value
            for stage in entry.record.stages
            for result in stage.evaluations
            if result.model == entry.model.name
            for metric in result.metrics
        ]
        name = "../card.txt" if self.config.outside else "post/card.txt"
        return Bundle(
            {name: f"Dear {self.config.to}, {entry.name} is polite: {polite}"}, ("by hand",)
        )

    @staticmethod
    def recognises(folder: Path) -> bool:
        return (folder / "post").is_dir()

    @staticmethod
    def check(folder: Path) -> Sequence[Rule]:
        path = folder / "post/card.txt"
        text = path.read_text() if path.is_file() else ""
        return [Rule("is dear", "ok" if text.startswith("Dear ") else "broken", text)]
