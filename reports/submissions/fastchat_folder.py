"""What FastChat's scripts rest on in a folder of MT-Bench, and what of it is not its protocol.

`show_result` drops scores of -1 and averages whatever else there is: a line too many counts twice,
a score of 100 as it stands, a question that is missing not at all.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.errors import DataError
from harness.protocols import Rule
from reports.submissions import private, published
from reports.submissions.findings import judged, missing, repeated, rows

TURNS = (1, 2)
FAILED = -1
LOWEST, HIGHEST = 1, 10
WITH_REFERENCE = ("math", "reasoning", "coding")
OFFICIAL_JUDGE = "gpt-4"
OFFICIAL_QUESTIONS = "007bafd864b4ed6b7f2a6ab72fa5b4bcc992e35f91850fa72d56ed868ef05cab"
"""What `_digest` makes of FastChat's 80 questions."""
WINNERS = ("model_1", "model_2", "tie", "error")

Row = Mapping[str, Any]


def check(root: Path) -> Sequence[Rule]:
    """Apply every rule to a folder `data/mt_bench`."""
    answers = sorted((root / "model_answer").glob("*.jsonl"))
    judgements = sorted((root / "model_judgment").glob("*.jsonl"))
    wrong = missing(root, ["question.jsonl"])
    wrong += [] if answers else ["no model_answer/<model>.jsonl"]
    wrong += [] if judgements else ["no model_judgment/<judge>_single.jsonl or _pair.jsonl"]
    found = [judged("every file in place", wrong)]
    if wrong:
        return found
    try:
        questions = {_id(row): row for row in rows(root / "question.jsonl")}
        given = {path.stem: rows(path) for path in answers}
        said = {path.stem: rows(path) for path in judgements}
    except DataError as error:
        return [*found, judged("every line can be read", [str(error)])]
    return [*found, *Layout(root, questions, given, said).rules()]


def judge(row: Row) -> str:
    """Name who judged: FastChat writes the judge and its prompt."""
    judge = row.get("judge")
    return str(judge[0] if isinstance(judge, list) and judge else judge)


@dataclass(frozen=True)
class Layout:
    """A folder in FastChat's layout, as it is found."""

    root: Path
    questions: Mapping[str, Row]
    """By question id."""
    answers: Mapping[str, Sequence[Row]]
    """By the name of the file, which is to be the model's."""
    judgements: Mapping[str, Sequence[Row]]
    """By the name of the file: `gpt-4_single`."""

    def rules(self) -> Iterator[Rule]:
        """Go through all rules, from lines to figures to the protocol."""
        yield judged("two turns of every question", self._question_faults())
        yield judged("one answer a question", self._answer_faults())
        yield judged("one line a judgement", self._line_faults())
        yield judged("files called by their judge", self._judge_faults())
        yield judged(f"scores from {LOWEST} to {HIGHEST}, or {FAILED}", self._score_faults())
        yield judged("every turn judged", self._gaps())
        yield judged("answers of every model that was judged", self._strangers())
        yield judged("references under the judge's name", self._reference_faults())
        judges = sorted({judge(row) for row in self._all()})
        yield judged("no private places", private.places([*self.judgements, *judges]))
        yield Rule("figures as show_result gives them", "ok", "; ".join(self._figures()))
        yield from self._protocol(judges)

    def _all(self) -> Iterator[Row]:
        return (row for lines in self.judgements.values() for row in lines)

    def _single(self) -> Iterator[Row]:
        return (row for row in self._all() if "model_1" not in row)

    def _pair(self) -> Iterator[Row]:
        return (row for row in self._all() if "model_1" in row)

    def _question_faults(self) -> Iterator[str]:
        for id, row in self.questions.items():
            if not _is_two_texts(row.get("turns")) or not isinstance(row.get("category"), str):
                yield f"question {id} wants a category and two turns"

    def _answer_faults(self) -> Iterator[str]:
        for model, lines in self.answers.items():
            yield from (f"{model}: question {id}" for id in repeated(map(_id, lines)))
            for row in lines:
                if row.get("model_id") != model:
                    yield f"{model}.jsonl has an answer of {row.get('model_id')!r:.60}"
                elif _id(row) not in self.questions:
                    yield f"{model} answers question {_id(row)}, which question.jsonl lacks"
                elif not _is_answer(row):
                    yield f"{model} has not two turns to question {_id(row)}"

    def _line_faults(self) -> Iterator[str]:
        for name, lines in self.judgements.items():
            for what in repeated((*_place(row), row.get("tstamp")) for row in lines):
                yield f"{name}: {what}"
            for number, row in enumerate(lines, start=1):
                if _id(row) not in self.questions or row.get("turn") not in TURNS:
                    where = f"question {_id(row)}, turn {row.get('turn')}"
                    yield f"{name}, line {number}, is of {where}, which was not asked"

    def _judge_faults(self) -> Iterator[str]:
        for name, lines in self.judgements.items():
            stem, _, mode = name.rpartition("_")
            if mode not in ("single", "pair"):
                yield f"{name}.jsonl is neither <judge>_single nor <judge>_pair"
            elif any(("model_1" in row) != (mode == "pair") for row in lines):
                yield f"{name}.jsonl has lines that are not of mode {mode}"
            others = {judge(row) for row in lines if published.file_name(judge(row)) != stem}
            yield from (f"{name}.jsonl has judgements by {other:.60}" for other in sorted(others))

    def _score_faults(self) -> Iterator[str]:
        for row in self._single():
            score: Any = row.get("score")
            number = isinstance(score, int | float) and not isinstance(score, bool)
            if not number or not (score == FAILED or LOWEST <= score <= HIGHEST):
                where = f"question {_id(row)}, turn {row.get('turn')}"
                yield f"{row.get('model')}, {where}: {score!r:.40}"
        for row in self._pair():
            for game in ("g1_winner", "g2_winner"):
                if row.get(game) not in WINNERS:
                    yield f"question {_id(row)}: {game} is {row.get(game)!r:.40}"

    def _gaps(self) -> Iterator[str]:
        wanted = {(id, str(turn)) for id in self.questions for turn in TURNS}
        there: dict[tuple[str, ...], set[tuple[str, str]]] = {}
        for row in self._all():
            question, turn, *who = _place(row)
            there.setdefault(tuple(who), set()).add((question, turn))
        for pair, turns in there.items():
            gaps = len(wanted - turns)
            if gaps:
                names = " against ".join(name for name in pair[:-1] if name)
                yield f"{names}: {gaps} of {len(wanted)} turns are missing"

    def _strangers(self) -> list[str]:
        models = {str(row.get("model", row.get("model_1"))) for row in self._all()}
        return [f"none of {model}" for model in sorted(models - self.answers.keys())]

    def _reference_faults(self) -> Iterator[str]:
        needed = [id for id, row in self.questions.items() if row.get("category") in WITH_REFERENCE]
        if not needed:
            return
        for judge in sorted({name.rpartition("_")[0] for name in self.judgements}):
            path = self.root / "reference_answer" / f"{judge}.jsonl"
            if not path.is_file():
                yield f"no reference_answer/{judge}.jsonl"
                continue
            try:
                shown = {_id(row) for row in rows(path) if _is_answer(row)}
            except DataError as error:
                yield str(error)
                continue
            lost = len([id for id in needed if id not in shown])
            if lost:
                yield f"{judge}.jsonl lacks {lost} of {len(needed)} references"

    def _figures(self) -> Iterator[str]:
        """Average what counts, as FastChat does."""
        scores: dict[str, list[tuple[Any, float]]] = {}
        for row in self._single():
            score = row.get("score")
            if isinstance(score, int | float) and score != FAILED:
                found = scores.setdefault(str(row.get("model")), [])
                found.append((row.get("turn"), float(score)))
        for model, found in scores.items():
            by_turn = [[score for turn, score in found if turn == wanted] for wanted in TURNS]
            turns = ", ".join(f"{fmean(values):.6f}" for values in by_turn if values)
            average = fmean(score for _, score in found)
            yield f"{model} {average:.6f} ({turns} by turn) of {len(found)}"

    def _protocol(self, judges: Sequence[str]) -> Iterator[Rule]:
        """Say what of the protocol is not that of the published figures."""
        same = _digest(self.questions.values()) == OFFICIAL_QUESTIONS
        wrong = [f"{len(self.questions)} questions that are not FastChat's 80"]
        yield judged("MT-Bench's questions", [] if same else wrong, "differs")
        wrong = [f"judge substituted: {judge}" for judge in judges if judge != OFFICIAL_JUDGE]
        yield judged("judged by gpt-4", wrong, "differs")
        failed = sum(row.get("score") == FAILED for row in self._single())
        failed += sum(
            "error" in (row.get("g1_winner"), row.get("g2_winner")) for row in self._pair()
        )
        wrong = [f"{failed} did, which show_result leaves out"] if failed else []
        yield judged("no judgement failed", wrong, "differs")
        unanswered = [
            f"{model}: {len(self.questions) - len(lines)} questions"
            for model, lines in self.answers.items()
            if len(lines) < len(self.questions)
        ]
        yield judged("every question answered", unanswered, "differs")
        most = max(Counter(map(_place, self._all())).values(), default=1)
        wrong = [f"{most} times, which show_result averages"] if most > 1 else []
        yield judged("every turn judged once", wrong, "differs")


def _id(row: Row) -> str:
    return str(row.get("question_id"))


def _place(row: Row) -> tuple[str, ...]:
    """Tell what a line judges: question, turn, model or models, judge."""
    names = (str(row.get(key, "")) for key in ("model", "model_1", "model_2"))
    return (_id(row), str(row.get("turn")), *names, judge(row))


def _is_two_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value)


def _is_answer(row: Row) -> bool:
    match row.get("choices"):
        case [{"turns": turns}, *_]:
            return _is_two_texts(turns)
    return False


def _digest(questions: Iterable[Row]) -> str:
    """Hash questions by id, category and turns."""
    asked = [
        [_id(row), row.get("category"), *row["turns"]]
        for row in questions
        if _is_two_texts(row.get("turns"))
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
