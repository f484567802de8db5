"""The same figures as the alpaca_eval package's own code, which is never written to."""

import importlib
import math
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

from evals.alpaca_eval import judging, length_control
from evals.alpaca_eval.annotations import read
from evals.alpaca_eval.controlled import control, control_by_position
from evals.alpaca_eval.covariates import find
from evals.alpaca_eval.evaluation import AlpacaEval
from evals.alpaca_eval.judging import Pair, Verdict
from harness.errors import ConfigError
from harness.protocols import Step
from harness.records import Failure
from tests.evals.alpaca_eval.judgements import OddsJudge, judged_rows, odds, row

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def package():
    """Import a module of the package by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkg_resources
        importlib.import_module("alpaca_eval")
        return lambda name: importlib.import_module(f"alpaca_eval.{name}")


@pytest.fixture(scope="module", autouse=True)
def nothing_is_written(package):
    """Compare every file of the installed package before and after."""
    folder = Path(find_spec("alpaca_eval").submodule_search_locations[0])

    def files():
        there = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
        return {path: path.stat().st_mtime_ns for path in there}

    before = files()
    yield
    assert files() == before


@pytest.fixture(autouse=True)
def one_resample(monkeypatch):
    monkeypatch.setattr(length_control, "RESAMPLES", 1)


@pytest.fixture
def packages_rate(package, gamed_csv, monkeypatch):
    """The package's length-controlled rate of rows, with the gamed file that ours has."""
    glm, sklearn = package("metrics.glm_winrate"), importlib.import_module("sklearn")
    path = gamed_csv()
    monkeypatch.setattr(glm, "hf_hub_download", lambda **options: str(path))

    def rate(rows):
        with sklearn.config_context():  # the package changes an option for good
            return glm.get_length_controlled_winrate(
                rows, save_weights_dir=None, is_warn_extreme_changes=False
            )

    return rate


PREFERENCES = [1, 2, 1.5, 0, 1.25, 1.75, 1.5000001, 1.4999999, 2.0, 1.0, 1.9, None, math.nan]


def test_win_rates(package, annotations):
    rows = [row(k, preference) for k, preference in enumerate(PREFERENCES)]
    theirs = package("metrics").get_winrate([{**one} for one in rows])
    [result] = AlpacaEval.score([annotations(rows)])
    names = ("win_rate", "standard_error", "n_wins", "n_wins_base", "n_draws", "discrete_win_rate")
    for name in names:
        assert result.metric(name).value == pytest.approx(float(theirs[name]), abs=1e-9)
    assert result.metric("win_rate").n == theirs["n_total"]


def test_length_controlled(official, annotations, packages_rate, tmp_path):
    rows = judged_rows()
    for k in (3, 100, 700):
        rows[k]["preference"] = None
    [judged] = read([annotations(rows)])
    found = control(judged, find({}, [tmp_path])).found
    theirs = packages_rate(rows)
    assert found.value == pytest.approx(theirs["length_controlled_winrate"], abs=1e-9)


def test_length_controlled_by_position(official, annotations, packages_rate, tmp_path):
    rows = judged_rows()
    del rows[400], rows[17]
    [judged] = read([annotations(rows)])
    there = find({}, [tmp_path])
    theirs = packages_rate(rows)["length_controlled_winrate"]
    assert control_by_position(judged, there).value == pytest.approx(theirs, abs=1e-9)
    assert control(judged, there).found.value != pytest.approx(theirs, abs=1e-3)


def test_prediction_against_another_model(package, difficulty_csv, monkeypatch, tmp_path):
    glm = package("metrics.glm_winrate")
    monkeypatch.setattr(glm, "hf_hub_download", lambda **options: str(difficulty_csv()))
    pandas = importlib.import_module("pandas")
    one, two = length_control.Weights(-2.0, 1.1, -1.0), length_control.Weights(-1.0, 0.4, 0.3)
    columns = [
        "np.tanh(std_delta_len)",
        "instruction_difficulty",
        "not_gamed_baseline.astype(float)",
    ]
    table = pandas.DataFrame([one, two], index=["one", "two"], columns=columns)
    difficulty_csv()
    ours = length_control.predicted_win_rate(one, two, find({}, [tmp_path]).difficulty)
    assert ours == pytest.approx(100 * glm.predict_winrate("one", "two", table))


def test_the_swap(package):
    pandas = importlib.import_module("pandas")
    processor = package("processors").RandomSwitchTwoColumnsProcessor(
        two_columns_to_switch=["output_1", "output_2"],
        random_seed_columns=["instruction"],
        _switch_column="is_switched_outputs",
        seed=0,
    )
    pairs = [Pair(str(k), f"Instruction {k}: naïve?\n", "one", "two") for k in range(200)]
    frame = pandas.DataFrame(
        [{"instruction": p.instruction, "output_1": "one", "output_2": "two"} for p in pairs]
    )
    theirs = list(processor.preprocess(frame)["is_switched_outputs"])
    assert [pair.swapped for pair in pairs] == theirs
    assert {True, False} == set(theirs)


LIKELIEST = [
    (("m", -0.1), ("M", -2.3), ("The", -9.0)),
    (("M", -0.001), ("The", -7.0)),
    (("m", -0.001), ("Model", -7.0)),
    (("The", -0.1), ("Both", -2.0)),
    (("M", -0.6931), ("m", -0.6931)),
    (("M", -600.0), ("m", -601.0)),
]


@pytest.mark.parametrize("likeliest", LIKELIEST)
@pytest.mark.parametrize("binary", [False, True])
def test_the_parser(package, likeliest, binary):
    name = "alpaca_eval_clf_gpt4_turbo" if binary else "weighted_alpaca_eval_gpt4_turbo"
    annotator = judging.from_package(name)
    content = [{"top_logprobs": [{"token": token, "logprob": value} for token, value in likeliest]}]
    [theirs] = package("completion_parsers").logprob_parser(
        {"logprobs": {"content": content}}, "m", ["m", "M"], is_binarize=binary
    )
    steps = (Step(likeliest[0][0], likeliest),)
    verdict = Verdict(swapped=False, text="x", finish_reason="length", steps=steps, failure=None)
    ours = judging.preference(annotator, verdict)
    if math.isnan(theirs):
        assert isinstance(ours, Failure)
    else:
        assert ours.value == pytest.approx(theirs, abs=1e-12)


def test_a_whole_annotation(package):
    """Instructions in, preferences out, with one judge asked by both."""
    utils = package("utils")
    frame = importlib.import_module("pandas").DataFrame(judged_rows(40))
    del frame["preference"]

    def completions(prompts, **options):
        contents = [utils.prompt_to_chatml(prompt)[-1]["content"] for prompt in prompts]
        made = [
            {
                "logprobs": {
                    "content": [
                        {
                            "top_logprobs": [
                                {"token": "m", "logprob": math.log(odds(text))},
                                {"token": "M", "logprob": math.log(1 - odds(text))},
                            ]
                        }
                    ]
                }
            }
            for text in contents
        ]
        return {"completions": ["m"] * len(made), "completions_all": made}

    annotate = package("annotators").SinglePairwiseAnnotator(
        prompt_template="alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt",
        fn_completions=completions,
        fn_completion_parser="logprob_parser",
        completion_parser_kwargs={
            "numerator_token": "m",
            "denominator_tokens": ["m", "M"],
            "is_binarize": False,
        },
        completion_key="completions_all",
        seed=0,
    )
    done = annotate(frame)
    theirs = dict(zip(done["instruction"], done["preference"], strict=True))

    annotator, judge = judging.from_package("weighted_alpaca_eval_gpt4_turbo"), OddsJudge()
    log = Log()
    pairs = {
        one.instruction: Pair(one.instruction, one.instruction, one.output_1, one.output_2)
        for one in frame.itertuples()
    }
    judging.ask(judge, annotator, pairs.values(), log)
    for instruction, pair in pairs.items():
        verdict = Verdict.model_validate(log[pair.key])
        ours = judging.preference(annotator, verdict)
        assert ours.value == pytest.approx(theirs[instruction], abs=1e-9)
    [sampling] = {request.sampling for request in judge.asked}
    assert (sampling.temperature, sampling.max_tokens, sampling.top_logprobs) == (1, 1, 5)


class Log(dict):
    """A row log that forgets."""

    def append(self, key, one):
        self[key] = one


def test_every_configuration_is_taken_or_refused_with_a_reason(package):
    folder = Path(find_spec("alpaca_eval").submodule_search_locations[0], "evaluators_configs")
    taken = []
    for path in sorted(folder.glob("*/configs.yaml")):
        try:
            taken.append(judging.from_package(path.parent.name).name)
        except ConfigError as error:
            assert path.parent.name in str(error)
    assert "weighted_alpaca_eval_gpt4_turbo" in taken
    assert "alpaca_eval_gpt4" in taken
    assert "weighted_alpaca_eval_cot_gpt4_turbo" not in taken
    with pytest.raises(ConfigError, match="did you mean 'weighted_alpaca_eval_gpt4_turbo'"):
        judging.from_package("weighted_alpaca_eval_gpt4_turb")
