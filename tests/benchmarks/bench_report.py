"""How fast a large run's page is written and read: time, memory, size, and every filter.

    python -m tests.benchmarks.bench_report [--characters 2500]

The run has five models measured on 805 AlpacaEval instructions, 160 MT-Bench turns, 256
head-to-head prompts against each of two others, and 541 instructions with ranked responses, every
answer of about so many characters and every verdict with its reasons. The page is written in a
process of its own, for its peak memory, and opened in headless Chromium. Prints one JSON line.
"""

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from pathlib import Path

from harness.records import (
    EvalResult,
    ItemResult,
    Metric,
    ModelRef,
    RunRecord,
    Score,
    Stage,
    StageResult,
)
from reports.html.report import Html
from tests.reports.chromium import launched, opened

MODELS = ("M0", "SFT", "M1", "M2", "M3")
CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem")
_WORDS = 20_000


class Writer:
    """Writes texts whose letters and words are about as common as those of English."""

    def __init__(self) -> None:
        self.random = random.Random(0)
        letters = "etaoinshrdlcumwfgypbvkjxqz"
        weights = [12.7 / (1 + 0.35 * k) for k in range(len(letters))]
        self.words = [
            "".join(self.random.choices(letters, weights, k=self.random.randint(2, 10)))
            for _ in range(_WORDS)
        ]
        self.weights = [1 / (k + 2.7) for k in range(_WORDS)]

    def text(self, characters: int) -> str:
        """Write about so many characters."""
        drawn = self.random.choices(self.words, self.weights, k=max(1, characters // 6))
        return f"{' '.join(drawn).capitalize()}."


def run(characters: int) -> RunRecord:
    """Make up the record."""
    writer = Writer()
    prompts = [writer.text(150) for _ in range(805)]
    references = [writer.text(2_000) for _ in range(805)]
    games: dict[str, list[str]] = {}
    stages = []
    for number, model in enumerate(MODELS):
        games[model] = [writer.text(characters) for _ in range(256)]
        results = (
            _result("alpaca_eval", model, _alpaca(writer, prompts, references, characters)),
            _result("mt_bench", model, _conversations(writer, prompts, characters)),
            _result("head_to_head", model, _games(writer, prompts, games, MODELS[:number][-2:])),
            _result("judge_agreement", model, _ranked(writer, prompts)),
        )
        stages.append(
            StageResult(
                stage=Stage(iteration=number, kind="evaluate"),
                model=ModelRef(name=model, location=model, fingerprint=model),
                evaluations=results,
            )
        )
    request = {"iterations": len(MODELS) - 1, "seed": 0, "evaluations": []}
    return RunRecord(request=request, environment={}, stages=tuple(stages))


def _result(name: str, model: str, items: list[ItemResult]) -> EvalResult:
    values = [item.outcome.value for item in items if isinstance(item.outcome, Score)]
    mean = sum(values) / len(values) if values else None
    metrics = (Metric(name="score", value=mean, n=len(values)),)
    return EvalResult(
        evaluation=name, model=model, protocol="p", metrics=metrics, items=tuple(items)
    )


def _alpaca(
    writer: Writer, prompts: list[str], references: list[str], characters: int
) -> list[ItemResult]:
    return [
        ItemResult(
            id=f"a{k}",
            answer=writer.text(characters),
            outcome=Score(value=100 * writer.random.random()),
            category=CATEGORIES[k % 5],
            details={
                "prompt": prompt,
                "reference_output": reference,
                "reference": "gpt4_1106_preview",
                "verdicts": [{"text": "m", "value": 0.3, "probabilities": {"m": 0.7, "M": 0.3}}],
                "truncated": False,
            },
        )
        for k, (prompt, reference) in enumerate(zip(prompts, references, strict=True))
    ]


def _conversations(writer: Writer, prompts: list[str], characters: int) -> list[ItemResult]:
    items = []
    for k in range(80):
        turns = [prompts[k], prompts[k + 80]]
        answers = [writer.text(characters) for _ in turns]
        for turn, (prompt, answer) in enumerate(zip(turns, answers, strict=True), start=1):
            verdict = {"text": writer.text(700), "value": float(writer.random.randint(1, 10))}
            items.append(
                ItemResult(
                    id=f"{k}/{turn}",
                    answer=answer,
                    outcome=Score(value=verdict["value"]),
                    category=CATEGORIES[k % 7],
                    details={
                        "prompt": prompt,
                        "turns": list(turns),
                        "answers": list(answers),
                        "verdicts": [verdict],
                    },
                )
            )
    return items


def _games(
    writer: Writer, prompts: list[str], answers: dict[str, list[str]], others: tuple[str, ...]
) -> list[ItemResult]:
    own = list(answers.values())[-1]
    return [
        ItemResult(
            id=f"h{k}",
            answer=own[k],
            outcome=Score(value=writer.random.choice([0.0, 0.5, 1.0])),
            against=other,
            details={
                "prompt": prompts[k],
                "opponent_answer": answers[other][k],
                "verdicts": [writer.text(300), writer.text(300)],
            },
        )
        for other in others
        for k in range(256)
    ]


def _ranked(writer: Writer, prompts: list[str]) -> list[ItemResult]:
    shared = random.Random(1)
    return [
        ItemResult(
            id=f"g{k}",
            answer="1 > 2 > 3",
            outcome=Score(value=writer.random.random()),
            details={
                "prompt": prompts[k],
                "responses": [
                    {
                        "text": f"{shared.random()} {prompts[(k + rank) % 805] * 6}",
                        "rank": rank,
                        "score": 3.0,
                        "verdicts": [writer.text(500)],
                    }
                    for rank in range(3)
                ],
            },
        )
        for k in range(541)
    ]


def _write(folder: str, characters: int, told: "multiprocessing.Queue[dict[str, float]]") -> None:
    record = run(characters)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    path = Html(Html.Config()).render(record, Path(folder))
    told.put(
        {
            "items": sum(len(e.items) for s in record.stages for e in s.evaluations),
            "seconds_to_write": round(time.perf_counter() - begun, 2),
            "record_megabytes_of_memory": round(before / 1024),
            "peak_megabytes_of_memory": round(
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            ),
            "megabytes_of_page": round(path.stat().st_size / 1e6, 2),
        }
    )


_FILTERS = """
async () => {
  const form = document.getElementById("filters");
  const took = {};
  const choose = async (name, value) => {
    const begun = performance.now();
    form.elements[name].value = value;
    form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
    document.body.offsetHeight;
    took[name] = Math.max(took[name] ?? 0, performance.now() - begun);
    await new Promise((done) => setTimeout(done, 30));
  };
  for (const { value: evaluation } of [...form.elements.evaluation.options]) {
    await choose("evaluation", evaluation);
    for (const name of ["model", "other", "category", "outcome", "order"]) {
      for (const { value } of [...form.elements[name].options]) await choose(name, value);
      await choose(name, form.elements[name].options[0].value);
    }
    for (const sought of ["the", "e", "xqz", "no such words at all", ""]) {
      await choose("search", sought);
    }
  }
  return took;
}
"""


def _read(path: Path) -> dict[str, object]:
    with launched() as chromium, opened(chromium) as browser:
        begun = time.perf_counter()
        browser.goto(f"file://{path}")
        browser.wait_for_selector("html[data-ready]")
        opening = time.perf_counter() - begun
        browser.wait_for_selector("html[data-searchable]", timeout=60_000)
        return {
            "seconds_to_open": round(opening, 2),
            "seconds_until_searchable": round(time.perf_counter() - begun, 2),
            "slowest_filter_milliseconds": {
                name: round(took) for name, took in browser.evaluate(_FILTERS).items()
            },
        }


def main() -> None:
    """Write, open, filter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=int, default=2_500)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[dict[str, float]] = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_write, args=(folder, options.characters, told))
        process.start()
        written = told.get()
        process.join()
        print(json.dumps({**written, **_read(Path(folder, "report.html"))}))


if __name__ == "__main__":
    main()
