"""FastChat's folder of MT-Bench: questions, answers and judgements where its scripts look for them.

    data/mt_bench/question.jsonl                            80 questions
    data/mt_bench/model_answer/<model>.jsonl                80 lines
    data/mt_bench/model_judgment/<judge>_single.jsonl       160 lines, or 160 for a pair of models:
    data/mt_bench/model_judgment/<judge>_pair.jsonl
    data/mt_bench/reference_answer/<judge>.jsonl            what the judge was shown

`python -m fastchat.llm_judge.show_result --judge-model <judge>` reads it, from the folder above
`data`. What it rests on is in `fastchat_folder`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from harness.errors import DataError
from harness.protocols import Bundle, Entry, Rule
from harness.records import EvalResult
from reports.submissions import fastchat_folder, private, published
from reports.submissions.published import Options

ROOT = "data/mt_bench"
FASTCHAT: dict[str, Any] = {
    "max_tokens": 1024,
    "top_p": 1.0,
    "temperatures": {},
    "judge_max_tokens": 2048,
    "judgements": 1,
    "reader": "official",
}
"""The evaluation's options as FastChat itself answers and judges."""
_NAMES = ("model", "model_id", "model_1", "model_2")


class MTBench:
    """FastChat's folder of answers and judgements, as its own scripts read it."""

    target: ClassVar[str] = (
        "no leaderboard: none takes MT-Bench results, and its judge gpt-4 can no longer be called; "
        "the folder is for FastChat's scripts and for who reads its layout"
    )

    class Config(Options):
        """Which evaluation is meant."""

        evaluation: str | None = None
        """What the run calls the evaluation, where it asked MT-Bench more than once."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def write(self, entry: Entry) -> Bundle:
        """Take what the evaluation published, under the entry's name.

        Raises:
            HarnessError: the run did not ask MT-Bench, or nothing was judged.
        """
        result = published.result(entry, "mt_bench", self.config.evaluation)
        name = published.one_word(entry)
        if not result.items:
            raise DataError(
                f"{entry.model.name} was compared with no other model, so there is no judgement "
                "of it; submit a later model"
            )
        place = published.only_file(entry, result, "model_judgment")
        said = published.read_rows(entry, result, place)
        if not said:
            raise published.damaged(entry, result, place, "has no judgement")
        judge = published.file_name(private.scrub(fastchat_folder.judge(said[0])))
        mode = place.removesuffix(".jsonl").rpartition("_")[2]
        files = {
            "question.jsonl": published.read_rows(entry, result, "question.jsonl"),
            **_answers(entry, result, name),
            f"model_judgment/{judge}_{mode}.jsonl": said,
        }
        if (entry.published / result.evaluation / "reference_answer").is_dir():
            place = published.only_file(entry, result, "reference_answer")
            shown = published.read_rows(entry, result, place)
            files[f"reference_answer/{judge}.jsonl"] = shown
        for opponent in sorted({str(row["model_2"]) for row in said if "model_2" in row}):
            other = _opponent(entry, opponent)
            files |= _answers(other, result, opponent) if other else {}
        rename = _renaming(entry.model.name, name, judge)
        contents = {f"{ROOT}/{place}": _lines(map(rename, rows)) for place, rows in files.items()}
        notes = published.notes(result, ("score", "win_rate"))
        return Bundle(
            contents, (*notes, *_differences(published.options(entry, result.evaluation)))
        )

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Tell by `data/mt_bench/model_judgment`."""
        return (folder / ROOT / "model_judgment").is_dir()

    @staticmethod
    def check(folder: Path) -> Sequence[Rule]:
        """Apply what FastChat's scripts rest on."""
        return fastchat_folder.check(folder / ROOT)


def _differences(asked: Mapping[str, Any]) -> Iterator[str]:
    """Name the options that are not FastChat's."""
    for option, official in FASTCHAT.items():
        if asked.get(option, official) != official:
            yield f"{option} = {asked[option]}, FastChat's is {official or 'none'}"


def _answers(entry: Entry, result: EvalResult, name: str) -> dict[str, list[dict[str, Any]]]:
    """Read what a model answered, to be called by a name."""
    place = published.only_file(entry, result, "model_answer")
    return {f"model_answer/{name}.jsonl": published.read_rows(entry, result, place)}


def _opponent(entry: Entry, name: str) -> Entry | None:
    """Find another model of the run; None for one from elsewhere, whose answers are not ours."""
    folder = entry.published.with_name(name)
    return replace(entry, published=folder) if folder.is_dir() else None


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _renaming(own: str, name: str, judge: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Call the model and the judge in a row as the files are called."""

    def rename(row: dict[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = {key: name for key in _NAMES if row.get(key) == own}
        if isinstance(said := row.get("judge"), list):
            named["judge"] = [judge, *said[1:]]
        return row | named

    return rename
