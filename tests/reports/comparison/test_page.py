import io
import json
import re

import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from harness.errors import ConfigError, StoreError
from harness.protocols import NamedRun
from harness.records import RunRecord
from reports.comparison.rows import KEYS
from reports.latex import Latex
from reports.markdown import Markdown
from reports.summary import Summary
from reports.terminal import Terminal

OTHER = {"learn_from": "positives"}
RENDERERS = [Markdown, Summary, Terminal, Latex]


def written(runs, folder) -> str:
    return Markdown(Markdown.Config()).compare(runs, folder).read_text()


def test_seeds_and_settings_are_on_one_page(seeds, positives, tmp_path):
    page = written([*seeds, *positives], tmp_path)
    assert "| seed1 | seed0 (3 seeds) | 1 | 7 of 7 | M0 SFT M1 M2 M3 |" in page
    assert "- **trainer.learn_from**: preferences / positives" in page
    assert "M2 - M1 +0.635 [+0.300, +0.970] (higher in 3 of 3)" in page
    assert "M3 of positives0 (3 seeds) worse than that of seed0 (3 seeds) (-0.648" in page
    assert "positives0 (3 seeds), seeds 0, 1, 2" in page
    assert "Read with care" not in page


def test_what_not_every_seed_shows_is_of_these_seeds_alone(make, seeds, tmp_path):
    other = [NamedRun(f"o{k}", make(k, (-1.5, 0.0, 0.2)[k], options=OTHER)) for k in range(3)]
    page = written([*seeds, *other], tmp_path)
    assert "M3 of o0 (3 seeds) worse, with these seeds alone, than that of seed0 (3 seeds)" in page


def test_two_seeds_say_what_cannot_be_said(seeds, tmp_path):
    page = written(seeds[:2], tmp_path)
    assert "They are one setting: their requests differ in nothing but the seed." in page
    assert "seed0 (2 seeds): two seeds show that figures move, not how far." in page
    assert not re.search(r"M2 - M1 \S+ \[", page)


def test_what_is_missing_is_said(make, seeds, tmp_path):
    cut = make(0, options=OTHER)
    half = NamedRun("half", cut.model_copy(update={"stages": cut.stages[:3]}))
    stopped = NamedRun(
        "stopped",
        half.record.model_copy(
            update={
                "stopped": "no disk left",
                "unreadable": ("x.json: of another version",),
                "request": {**cut.request, "seed": 1},
            }
        ),
    )
    page = written([*seeds, half, stopped], tmp_path)
    assert "half is not finished; still to come: 02-train, 02-evaluate, 03-train" in page
    assert "stopped stopped after 3 stages: no disk left" in page
    assert "stopped: x.json: of another version" in page


def test_other_judges_are_a_caution(make, tmp_path):
    runs = [
        NamedRun("a", make(0, judge="sol")),
        NamedRun("b", make(0, protocol="p2", judge="luna", options=OTHER)),
    ]
    page = written(runs, tmp_path)
    assert (
        "b / examiner: M0, SFT, M1, M2, M3 not compared with a: judged by luna, not by sol." in page
    )


def test_few_seeds_in_common_are_a_caution(seeds, positives, tmp_path):
    page = written([*seeds, positives[0]], tmp_path)
    assert "positives0 and seed0 (3 seeds) have 1 seed in common: a difference" in page


def test_versions_are_a_caution(make, tmp_path):
    newer = make(1).model_copy(update={"environment": {"harness": "0.2.0"}})
    page = written([NamedRun("a", make(0)), NamedRun("b", newer)], tmp_path)
    assert "The runs were made by different versions of the harness." in page
    assert "- **harness version**: 0.1.0 / 0.2.0" in page


def test_runs_with_nothing_in_common_are_sentences(make, nothing_yet, tmp_path):
    one = make(0)
    other = one.model_copy(
        update={
            "request": {**one.request, "iterations": 2},
            "stages": tuple(stage.model_copy(update={"evaluations": ()}) for stage in one.stages),
        }
    )
    page = written([NamedRun("a", one), NamedRun("b", other)], tmp_path)
    assert "These runs have no measurement in common that could be compared." in page
    empty = nothing_yet.model_copy(update={"request": {**nothing_yet.request, "seed": 1}})
    page = written([NamedRun("a", nothing_yet), NamedRun("b", empty)], tmp_path)
    assert "Nothing was measured." in page
    assert page.count("|  |") == 1, "only the table of runs"


def test_the_same_run_twice_is_refused(make, tmp_path):
    with pytest.raises(ConfigError, match="same run"):
        written([NamedRun("a", make(0)), NamedRun("b", make(0))], tmp_path)


@pytest.fixture(scope="module")
def twenty(make):
    """Runs of twenty settings."""
    return tuple(
        NamedRun(f"a run with quite a long name {k}", make(0, k / 10, options={"beta": k}))
        for k in range(20)
    )


@pytest.mark.parametrize("width", [80, 120])
def test_twenty_settings_fit_the_width(twenty, width):
    out = io.StringIO()
    Terminal(Terminal.Config()).show_comparison(twenty, Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert "trainer.beta" in out.getvalue()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_same_records_give_the_same_bytes(renderer, seeds, positives, tmp_path):
    runs = [*seeds, positives[0]]
    first = renderer(renderer.Config()).compare(runs, tmp_path)
    bytes_ = first.read_bytes()
    again = [
        NamedRun(one.name, RunRecord.model_validate_json(one.record.model_dump_json()))
        for one in runs
    ]
    assert renderer(renderer.Config()).compare(again, tmp_path).read_bytes() == bytes_
    assert first.stem == "compare"


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_folder_that_cannot_be_written_is_one_line(renderer, seeds, tmp_path):
    for ending in ("md", "json", "txt", "tex"):
        (tmp_path / f"compare.{ending}").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        renderer(renderer.Config()).compare(seeds, tmp_path)


def test_hostile_texts_act_in_no_way(hostile_run, make, tmp_path):
    text = hostile_run.request["model"]
    runs = [NamedRun(text, hostile_run), NamedRun("b", make(0))]
    page = MarkdownIt("commonmark").enable("table").render(written(runs, tmp_path))
    assert not {"script", "img", "a", "h4"} & set(re.findall(r"<([a-z0-9]+)", page))
    assert not {"\x1b", "\x00", "\u202e"} & set(page)
    out = io.StringIO()
    Terminal(Terminal.Config()).show_comparison(runs, Console(file=out, width=100))
    assert not {"\x1b", "\x00", "\u202e", "\r"} & set(out.getvalue())


def test_rows_have_the_same_keys_and_say_of_what_they_are(seeds, positives, tmp_path):
    path = Summary(Summary.Config()).compare([*seeds, *positives], tmp_path)
    rows = json.loads(path.read_text())
    assert {tuple(row) for row in rows} == {KEYS}
    kinds = {row["kind"] for row in rows}
    assert kinds == {
        "run", "seeds", "step", "contrast", "seeds_contrast", "ablation", "published"
    }  # fmt: skip
    [mean] = [
        row for row in rows
        if (row["kind"], row["setting"], row["model"], row["metric"])
        == ("seeds", "seed0 (3 seeds)", "M2", "score")
    ]  # fmt: skip
    assert (mean["value"], mean["n"]) == (pytest.approx(2.8 + 0.1 * 54 / 40), 3)
    runs = [row for row in rows if row["kind"] == "run"]
    assert {row["run"] for row in runs} == {one.name for one in (*seeds, *positives)}
