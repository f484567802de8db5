import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.errors import StoreError
from harness.records import RunRecord
from reports.figures import visible
from reports.markdown import Markdown, escape, markdown

GOLDEN = Path(__file__).parent / "golden" / "report.md"
SRC = r'src="([^"]*)"'
RUNS = ["whole_run", "half_run", "nothing_yet", "one_model", "not_measured", "all_failed"]
EXPECTED_TAGS = {
    "h1", "h2", "h3", "p", "ul", "li", "strong", "pre", "code",
    "table", "thead", "tbody", "tr", "th", "td", "img",
}  # fmt: skip


def html(text: str) -> str:
    return str(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


def tags(page: str) -> set[str]:
    return set(re.findall(r"<([a-z0-9]+)", page))


def test_the_small_report_is_the_golden_one(small_run: RunRecord):
    """Where the difference is wanted, write the new text to golden/report.md."""
    assert markdown(small_run) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*RUNS, "hostile_run"])
def test_the_same_record_gives_the_same_bytes(name, request, tmp_path):
    record = request.getfixturevalue(name)
    again = RunRecord.model_validate_json(record.model_dump_json())
    first = Markdown(Markdown.Config()).render(record, tmp_path).read_bytes()
    assert Markdown(Markdown.Config()).render(again, tmp_path).read_bytes() == first


@pytest.mark.parametrize("name", [*RUNS, "hostile_run"])
def test_no_table_is_empty_and_every_row_is_as_wide_as_its_heading(name, request):
    text = markdown(request.getfixturevalue(name))
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    for table in tables:
        assert len(table) > 2
        assert len({line.count("|") for line in table}) == 1
    assert html(text).count("<table>") == len(tables)


def test_a_whole_run_shows_every_model_metric_and_interval(whole_run):
    page = markdown(whole_run)
    assert "Finished: 7 stages, models M0, SFT, M1, M2, M3." in page
    assert "|  | M0 | SFT | M1 | M2 | M3 | n | failed |" in page
    assert "| pair accuracy, ties left out | 0.521 [0.491, 0.551] | 0.544" in page
    assert re.search(r"\| score \|.*4\.19 \[4\.05, 4\.34\].*\| 120 / 120 / 120 / 90 / 120 \|", page)
    assert "**+0.370 [+0.300, +0.440]** | 0.930 [0.860, 1.000] | 250 | 0 |" in page
    assert "| M3 vs M2 | 0.120" in page
    for part in ("self_rewarding, 3 of 3 iterations", "Seed**: 7", "torch 2.13.0", "(exact)"):
        assert part in page


def test_a_half_finished_run_says_what_is_missing(half_run):
    page = markdown(half_run)
    assert (
        "Not finished: 3 of 7 stages are done; still to come: "
        "02-train, 02-evaluate, 03-train, 03-evaluate." in page
    )
    assert "1 of 3 iterations" in page
    assert "M2" not in page.split("## Every measurement")[1]


def test_of_many_stages_to_come_the_next_are_named(half_run):
    page = markdown(half_run.model_copy(update={"request": half_run.request | {"iterations": 20}}))
    assert "3 of 41 stages are done" in page
    assert "still to come: 02-train, 02-evaluate, 03-train" in page
    assert "04-evaluate, and 32 more. Give" in page


def test_an_evaluation_without_metrics_is_named(one_model):
    [stage] = one_model.stages
    bare = tuple(one.model_copy(update={"metrics": ()}) for one in stage.evaluations)
    stages = (stage.model_copy(update={"evaluations": bare}),)
    assert "examiner reported no metric." in markdown(
        one_model.model_copy(update={"stages": stages})
    )


def test_a_run_without_a_finished_stage_is_a_report_of_sentences(nothing_yet):
    page = markdown(nothing_yet)
    assert "Not a single stage has finished yet" in page
    assert "Nothing was measured in this run, so far." in page
    assert "Nothing has been trained in this run." in page
    assert "No finished stage has costs." in page
    assert "|" not in page


def test_a_run_without_evaluations_says_so(not_measured):
    page = markdown(not_measured)
    assert "Nothing was measured in this run, so far." in page
    assert "The trainer reported no numbers." in page
    assert "not measured: head_to_head did not run." in page


def test_what_failed_altogether_is_no_number(all_failed):
    page = markdown(all_failed)
    assert "| score | no score | 0 | 6 |" in page
    assert "not a single answer could be scored" in page
    assert "M0, Examiner: nothing (6 no_score)" in page


def test_hostile_texts_act_in_no_way(hostile_run):
    page = html(markdown(hostile_run))
    assert tags(page) <= EXPECTED_TAGS
    assert all(re.fullmatch(r"figures/[a-z0-9-]+\.svg", src) for src in re.findall(SRC, page))
    text = unescape(re.sub(r"<[^>]+>", "", page))
    assert "<script>alert(1)</script>" in text, "it is shown as what it is"
    assert not {"\x1b", "\x00", "\u202e"} & set(page)
    assert "href" not in page
    assert len(page) < 40_000, "long texts are cut"


def test_the_fences_around_answers_hold(hostile_run):
    samples = markdown(hostile_run).split("## What each model answered")[1]
    fences = [line for line in samples.splitlines() if line.startswith("```")]
    assert fences == ["```text", "```"]


@given(st.text(max_size=60))
def test_escaped_text_means_itself(text):
    shown = unescape(re.sub(r"</?p>", "", html(escape(text)))).strip()
    assert shown == visible(text).strip()


@given(st.text(max_size=30))
def test_escaped_text_stays_in_its_cell(text):
    page = html(f"| a | b |\n| --- | --- |\n| {escape(text)} | end |\n")
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    assert len(cells) == 2
    assert unescape(cells[0]).strip() == visible(text).strip()


def test_a_folder_that_cannot_be_written_is_one_line(whole_run, tmp_path):
    (tmp_path / "report.md").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        Markdown(Markdown.Config()).render(whole_run, tmp_path)


def test_a_run_that_a_guard_stopped_says_why(small_run: RunRecord) -> None:
    stopped = small_run.model_copy(update={"stopped": "M1 cannot judge: 63% of its verdicts <b>"})
    text = markdown(stopped)
    assert "Stopped after 3 of 3 stages: M1 cannot judge: 63% of its verdicts" in text
    assert "<b>" not in text
