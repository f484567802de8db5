"""The tasks are lm-eval's own: built its own way from files, they ask exactly the same."""

import contextlib
import io
import json
import logging
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest
from lm_eval.api.model import LM
from lm_eval.defaults import DEFAULT_OTHER_SEED
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager

from evals.nlp_benchmarks.benchmarks import BENCHMARKS, FEWSHOT_SEED, NAMES
from evals.nlp_benchmarks.data import read
from evals.nlp_benchmarks.running import run
from evals.nlp_benchmarks.settings import Settings
from evals.nlp_benchmarks.tasks import load

SHOTS = 3
DEFINITIONS = Path(find_spec("lm_eval").origin).parent / "tasks"


class Mute(LM):
    def loglikelihood(self, requests):
        return [(-1.0, False)] * len(requests)

    def generate_until(self, requests):
        return [""] * len(requests)

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError


def upstream(name, folder):
    """The benchmark (of MMLU one subject) as lm-eval loads it from JSON files."""
    benchmark, splits = BENCHMARKS[name], read("microworld", name, SHOTS)
    subject = "miscellaneous" if benchmark.by_subject else None
    files = {}
    for split, rows in {
        benchmark.evaluated: splits.evaluated,
        benchmark.pool[0]: splits.examples,
    }.items():
        files[split] = str(folder / f"{split}.jsonl")
        lines = [json.dumps(row) + "\n" for row in rows if row.get("subject") == subject]
        Path(files[split]).write_text("".join(lines))
    task = f"mmlu_{subject}" if subject else benchmark.task
    config = {
        "include": str(DEFINITIONS / benchmark.definition.replace("*", str(subject))),
        "task": task,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
        "training_split": "train" if "train" in files else None,
        "validation_split": "validation" if "validation" in files else None,
    }
    (folder / "task.yaml").write_text(json.dumps(config))
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    tasks = manager.load([task])
    tasks["tasks"][task].set_config(key="num_fewshot", value=SHOTS)
    tasks["tasks"][task].set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
    return evaluate(Mute(), tasks, limit=4)["samples"][task]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_is_asked(name, scripted, log, tmp_path, caplog) -> None:
    caplog.set_level(logging.ERROR, "lm_eval")
    with contextlib.redirect_stderr(io.StringIO()):
        expected = upstream(name, tmp_path)
    found = run(name, Settings(limit=4, shots={name: SHOTS}), scripted(), log())
    samples = list(found.raw["samples"].values())[-1]
    kept = ("doc_id", "target", "arguments", "filter", "doc_hash", "prompt_hash", "target_hash")
    assert [[one[key] for key in kept] for one in samples] == [
        [one[key] for key in kept] for one in expected
    ]


def test_examples_are_drawn_as_lm_eval_draws_them() -> None:
    assert FEWSHOT_SEED == DEFAULT_OTHER_SEED
    task = load(BENCHMARKS["nq"], "microworld", SHOTS)["tasks"]["nq_open"]
    assert task.sampler.rnd.random() == Random(FEWSHOT_SEED).random()


def test_all_of_mmlus_subjects_are_defined() -> None:
    before, after = BENCHMARKS["mmlu"].definition.split("*")
    assert len(list(DEFINITIONS.glob(f"{before}*{after}"))) == 57
