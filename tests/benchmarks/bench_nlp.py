"""How the nine NLP benchmarks compare with lm-eval's own Hugging Face backend: figures and time.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_nlp --data data/nlp [--items 100]

Both sides answer the same items with the same weights in the same process, in turn, one benchmark
after the other; the model is loaded before. The plain side is `lm_eval.evaluate` with `HFLM` in
batches of 64, on tasks whose rows are in memory, so that reading data sets is not counted against
it. Our side is `NLPBenchmarks`, both verbs: everything is also kept in a row log and marked.

Prints a line of JSON for each benchmark, then one for all: seconds, their ratio, and the largest
differences of metrics and log-likelihoods. By default the model is a random Llama of 6 million
parameters whose tokenizer was trained on the questions.
"""

import argparse
import contextlib
import io
import json
import logging
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from evals.nlp_benchmarks.benchmarks import BENCHMARKS, NAMES, Name
from evals.nlp_benchmarks.data import read
from evals.nlp_benchmarks.evaluation import NLPBenchmarks
from evals.nlp_benchmarks.running import run
from evals.nlp_benchmarks.settings import Settings
from evals.nlp_benchmarks.tasks import load
from harness.engines.transformers import Transformers
from harness.protocols import LoadedModel
from harness.records import ModelRef
from harness.rows import RowLog
from tests.real_data.make_small_llama import make_model, make_tokenizer
from tests.shared_data import SHARED


def random_model(folder: str, data: str) -> str:
    """A random Llama whose tokenizer knows the words of the questions."""
    torch.manual_seed(0)
    corpus = [json.dumps(row) for name in NAMES for row in read(data, name, 0).evaluated]
    tokenizer = make_tokenizer(corpus, vocabulary=8192, context=2048)
    make_model(tokenizer, hidden=256, layers=6, context=2048).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plain(name: Name, settings: Settings, model: HFLM) -> dict[str, Any]:
    tasks = load(BENCHMARKS[name], settings.data, settings.shots_of(name))
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return evaluate(model, tasks, limit=settings.limit)


def ours(name: Name, settings: Settings, model: LoadedModel, log: RowLog) -> None:
    config = NLPBenchmarks.Config(**settings.model_dump() | {"benchmarks": [name]})
    evaluation = NLPBenchmarks(config)
    evaluation.answer(model, log)
    evaluation.mark(model.ref, log, None, [])


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, float]:
    """The largest of metrics and of log-likelihoods, and how many generated texts differ."""
    metrics = [
        abs(value - found["results"][task][key])
        for task, figures in expected["results"].items()
        for key, value in figures.items()
        if "," in key and isinstance(value, float)
    ]
    scores, texts = [0.0], 0
    for task, samples in expected["samples"].items():
        for a, b in zip(samples, found["samples"][task], strict=True):
            assert a["arguments"] == b["arguments"]
            for one, other in zip(a["resps"], b["resps"], strict=True):
                if isinstance(one[0], str):
                    texts += one != other
                else:
                    scores.append(abs(one[0][0] - other[0][0]))
    return {"metric": max(metrics), "loglikelihood": max(scores), "texts": texts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(SHARED / "nlp"))
    parser.add_argument("--model", help="a folder or hub id, instead of random weights")
    parser.add_argument("--items", type=int, default=100, help="of each benchmark")
    parser.add_argument("--benchmarks", nargs="*", default=NAMES)
    options = parser.parse_args()
    if not Path(options.data).is_dir():
        sys.exit(f"no benchmark data in {options.data}: name its folder with --data")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    totals = {"lm_eval": 0.0, "harness": 0.0}
    worst = {"metric": 0.0, "loglikelihood": 0.0, "texts": 0}
    with tempfile.TemporaryDirectory() as folder:
        location = options.model or random_model(f"{folder}/model", options.data)
        weights = AutoModelForCausalLM.from_pretrained(location, dtype="float32").eval()
        tokenizer = AutoTokenizer.from_pretrained(location)
        reference = HFLM(pretrained=weights, tokenizer=tokenizer, batch_size=64)
        engine = Transformers(Transformers.Config(device="cpu", dtype="float32"))
        with engine.open(ModelRef(location=location)) as model:
            for name in options.benchmarks:
                subjects = 57 if BENCHMARKS[name].by_subject else 1
                settings = Settings(
                    data=options.data,
                    limit=max(1, round(options.items / subjects)),
                    too_long="truncate",
                )
                read(options.data, name, settings.shots_of(name))  # for both
                start = time.perf_counter()
                expected = plain(name, settings, reference)
                between = time.perf_counter()
                with RowLog(Path(folder, f"{name}.jsonl")) as log:
                    ours(name, settings, model, log)
                    end = time.perf_counter()
                    found = run(name, settings, None, log)
                seconds = {"lm_eval": between - start, "harness": end - between}
                apart = differences(found.raw, expected)
                print(line(name, seconds, apart), flush=True)
                totals = {side: totals[side] + seconds[side] for side in totals}
                worst = {key: max(worst[key], apart[key]) for key in ("metric", "loglikelihood")}
    print(line("all", totals, worst))


def line(name: str, seconds: dict[str, float], apart: dict[str, float]) -> str:
    content = {
        "benchmark": name,
        **{f"{side}_s": round(value, 2) for side, value in seconds.items()},
        "ratio": round(seconds["harness"] / seconds["lm_eval"], 3),
        **{f"{key}_difference": value for key, value in apart.items()},
        "threads": torch.get_num_threads(),
        "at": datetime.now().isoformat(timespec="seconds"),
    }
    return json.dumps(content)


if __name__ == "__main__":
    main()
