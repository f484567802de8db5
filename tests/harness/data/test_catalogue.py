"""The shipped catalogue is complete and consistent, and what is wrong with an entry is said."""

import hashlib
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.config import PRESETS
from harness.data import catalogue
from harness.data.catalogue import Entry
from harness.errors import ConfigError, DataError
from tests.shared_data import shared

SHIPPED = catalogue.load()
TASKS = ("arc/arc_easy.yaml", "hellaswag/hellaswag.yaml", "siqa/siqa.yaml", "piqa/piqa.yaml")
TASKS += ("gsm8k/gsm8k.yaml", "mmlu/default/_default_template_yaml", "openbookqa/openbookqa.yaml")
TASKS += ("nq_open/nq_open.yaml",)  # ARC-Challenge is in ARC-Easy's data set
RENAMED = {
    "alpaca_eval/gpt4_baseline.json": "alpaca_eval/model_outputs/gpt4_1106_preview.json",
    "mt_bench/reference_answer/gpt-4.jsonl": "mt_bench/reference_answer_gpt-4.jsonl",
}
NEVER_SEEN = {"alpaca_eval/df_gamed.csv", "alpaca_eval/instruction_difficulty.csv"}


def test_every_data_set_of_lm_evals_nine_tasks_is_in_it():
    [package] = find_spec("lm_eval").submodule_search_locations
    for task in TASKS:
        text = Path(package, "tasks", task).read_text()
        hub = re.search(r"^dataset_path: (\S+)", text, re.MULTILINE)[1]
        assert hub in SHIPPED.whole, task


def test_every_hub_data_set_of_the_presets_is_in_it():
    named = [
        match
        for preset in PRESETS.iterdir()
        for text in _texts(tomllib.loads(preset.read_text()))
        for match in re.findall(r"^([\w.-]+/[\w.-]+)::", text)
    ]
    assert named
    assert set(named) <= SHIPPED.whole.keys()


def _texts(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for inside in value for text in _texts(inside)]
    return [value] if isinstance(value, str) else []


def test_hashes_and_sizes_are_those_of_the_real_files():
    shared("mt_bench/question.jsonl")  # skips without real data
    pinned = [name for name in SHIPPED if SHIPPED[name].sha256 and name not in NEVER_SEEN]
    assert len(pinned) > 30
    for name in pinned:
        content = shared(RENAMED.get(name, name)).read_bytes()
        entry = SHIPPED[name]
        assert (entry.sha256, entry.size) == (hashlib.sha256(content).hexdigest(), len(content))


def test_what_may_not_be_shipped_says_so():
    for name in ("gpt4_baseline.json", "df_gamed.csv", "instruction_difficulty.csv"):
        assert "not for commercial use" in SHIPPED[f"alpaca_eval/{name}"].caution
    assert "ask its authors" in SHIPPED["preferences/oasst_eft_ranked.jsonl"].caution
    assert SHIPPED["mt_bench/question.jsonl"].caution is None


def test_a_source_says_its_revision():
    file = SHIPPED["alpaca_eval/df_gamed.csv"]
    assert file.source == f"hf:tatsu-lab/alpaca_eval@{file.revision}/df_gamed.csv"
    assert SHIPPED["nlp/siqa"].source == "hf:lighteval/siqa"
    assert "/587d5cfa1609a43d192cedb8441cac3c17db105d/" in SHIPPED["mt_bench/question.jsonl"].source
    assert not any("{" in entry.source for entry in SHIPPED.values())


def test_what_decides_the_content():
    assert SHIPPED["nlp/siqa"].pinned == "not pinned"
    assert SHIPPED["nlp/ai2_arc"].pinned == "revision"
    assert SHIPPED["alpaca_eval/df_gamed.csv"].pinned == "sha256"


def test_names_are_chosen_one_by_one_or_by_folder():
    assert SHIPPED.choose(["mt_bench/model_answer/"]) == [
        f"mt_bench/model_answer/{model}.jsonl"
        for model in (
            "alpaca-13b",
            "claude-v1",
            "gpt-3.5-turbo",
            "llama-13b",
            "vicuna-33b-v1.3",
            "vicuna-7b-v1.3",
        )
    ]
    assert SHIPPED.choose(["nlp/siqa", "nlp/piqa", "nlp/siqa"]) == ["nlp/siqa", "nlp/piqa"]
    with pytest.raises(DataError, match=r"no data set 'nlp/piqua'; did you mean 'nlp/piqa'\?"):
        SHIPPED.choose(["nlp/piqua"])


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("mt_bench/question.jsonl", "mt_bench/question.jsonl"),
        ("nlp/ai2_arc/ARC-Easy/test.parquet", "nlp/ai2_arc"),
        ("nlp/ai2_arc_other/test.parquet", None),
        ("mt_bench/question.jsonl/inside", None),
        ("nlp/ai2_arc/../../evil", None),
        ("nlp/ai2_arc//README.md", None),
        ("nlp/ai2_arc/..\\evil", None),
        ("/nlp/ai2_arc/README.md", None),
        ("README.md", None),
    ],
)
def test_whose_file_a_path_is(path, owner):
    assert SHIPPED.owner(path) == owner


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('licence = "MIT"', "needs either url or hub"),
        ('licence = "MIT"\nurl = "http://a"\nhub = "a/b"', "needs either url or hub"),
        ('licence = "MIT"\nurl = "http://a"\nfile = "b"', "file and files belong to hub"),
        (f'licence = "MIT"\nhub = "a/b"\nsha256 = "{"0" * 64}"', "this is a folder"),
        ('licence = "MIT"\nurl = "http://a"\nsha256 = "0a"', "sha256"),
        ('license = "MIT"\nurl = "http://a"', "did you mean 'licence'"),
    ],
)
def test_an_entry_that_is_not_understood(entry, problem, tmp_path):
    source = tmp_path / "catalogue.toml"
    source.write_text(f'["a.jsonl"]\nabout = "a"\n{entry}\n')
    with pytest.raises(ConfigError, match=problem):
        catalogue.load(source)


@pytest.mark.parametrize("name", ["../a.jsonl", "/a.jsonl", "a/../../b", "", "."])
def test_a_name_that_leaves_the_folder(name, tmp_path):
    source = tmp_path / "catalogue.toml"
    source.write_text(f'["{name}"]\nabout = "a"\nlicence = "MIT"\nurl = "http://a"\n')
    with pytest.raises(DataError, match="no place below the data folder"):
        catalogue.load(source)


def test_an_entry_is_a_record():
    entry = SHIPPED["mt_bench/question.jsonl"]
    assert Entry.model_validate_json(entry.model_dump_json()) == entry
