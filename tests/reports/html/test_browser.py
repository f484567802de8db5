"""The page in a real browser: what a reader sees and does, and what hostile texts cannot do."""

import pytest

from harness.records import EvalResult, Failure, ItemResult, RunRecord, Score, Stage, StageResult
from reports.html.report import html
from tests.reports import chromium
from tests.reports.conftest import ref

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium.PATH is None, reason=chromium.WHY_NOT),
]

ATTACKS = (
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "</script><script>window.pwned = 1</script>",
    "</pre></article></main><svg onload='window.pwned = 1'>",
    '"><a href="javascript:window.pwned=1" id="bait">click</a>',
    "{{ 7 * 7 }} {% raw %} ${7*7} # heading **bold** [link](http://evil.example/)",
    "\x00\x1b[2J\x07\x7f\u202egnp.exe\u2066\u200b \ud7ff \U0001f600",
    "a" * 1_000_000,
)


def hostile() -> RunRecord:
    """Two models, each text of whose items is an attack."""
    stages = []
    for number, model in enumerate(("M0", "M1")):
        items = tuple(
            ItemResult(
                id=f"{k}{attack[:40]}",
                answer=f"{attack}{model}",
                outcome=Failure(reason=attack[:60], detail=attack)
                if k % 3 == 2
                else Score(value=k + number),
                category=attack[:50],
                details={
                    "prompt": attack,
                    "verdicts": [{"text": attack, "probabilities": {attack[:30]: 0.5}}],
                    attack[:30]: attack[:50],
                },
            )
            for k, attack in enumerate(ATTACKS)
        )
        result = EvalResult(
            evaluation="<b>evil</b>", model=model, protocol=ATTACKS[0], metrics=(), items=items
        )
        stages.append(
            StageResult(
                stage=Stage(iteration=number, kind="evaluate"),
                model=ref(model),
                evaluations=(result,),
            )
        )
    return RunRecord(request={"model": ATTACKS[1]}, environment={}, stages=tuple(stages))


@pytest.fixture
def written(tmp_path):
    def write(record: RunRecord) -> str:
        path = tmp_path / "report.html"
        path.write_text(html(record), encoding="utf-8")
        return f"file://{path}"

    return write


@pytest.fixture(scope="module")
def browser():
    with chromium.launched() as one:
        yield one


@pytest.fixture
def page(browser):
    with chromium.opened(browser) as one:
        one.complaints = []
        one.requests = []
        one.on("console", lambda m: one.complaints.append(m.text) if m.type == "error" else None)
        one.on("pageerror", lambda error: one.complaints.append(str(error)))
        one.on("request", lambda request: one.requests.append(request.url))
        one.on("dialog", lambda dialog: one.complaints.append(dialog.message))
        yield one
        assert one.complaints == []


def opened(page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("html[data-ready]")


def choose(page, **values: str) -> None:
    for name, text in values.items():
        page.locator(f"#filters [name={name}]").select_option(label=text)


def count(page) -> int:
    return int(page.locator("#count").inner_text().split(" of ")[0])


def test_hostile_texts_are_shown_as_text_and_do_nothing(page, written):
    opened(page, written(hostile()))
    lines = page.locator("#found .line")
    assert lines.count() == len(ATTACKS)
    for number, attack in enumerate(ATTACKS):
        lines.nth(number).click()
        shown = page.locator("#sample pre.answer").first
        shown.wait_for()
        if attack.isprintable():
            assert shown.inner_text().startswith(attack[:500])
    assert page.evaluate("window.pwned") is None
    assert page.locator("#bait, img, iframe, main svg[onload]").count() == 0
    assert [url for url in page.requests if not url.startswith("file:")] == []


def test_what_cannot_be_seen_is_made_visible(page, written):
    opened(page, written(hostile()))
    page.locator("#found .line").nth(6).click()
    page.locator("#sample h3", has_text="gnp.exe").wait_for()
    text = page.locator("#sample pre.answer").first.inner_text()
    assert "\u2400\u241b[2J\u2407<U+007F><U+202E>gnp.exe<U+2066><U+200B>" in text


def test_a_megabyte_without_a_space_neither_widens_the_page_nor_is_lost(page, written):
    opened(page, written(hostile()))
    page.locator("#found .line").nth(7).click()
    rest = page.get_by_role("button", name="Show the other").first
    rest.wait_for()
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) <= 0
    rest.click()
    shown = "document.querySelector('#sample pre.prompt').textContent.length"
    assert page.evaluate(shown) == 1_000_000


def test_filters_find_what_they_say(page, written, whole_run):
    opened(page, written(whole_run))
    choose(page, evaluation="Examiner (120)")
    assert count(page) == 120
    choose(page, category="math")
    assert count(page) == 40
    choose(page, category="all", model="M2", outcome="M2 failed")
    assert count(page) == 30
    choose(page, outcome="M2 failed: no_score (30)")
    assert count(page) == 30
    choose(page, outcome="any outcome", model="M3", other="M1", order="biggest gains of M3")
    first = page.locator("#found .line").first.inner_text()
    assert "M1 3" in first or "M1 2" in first
    page.locator("#filters [name=search]").fill("animal 77 ")
    page.wait_for_selector("html[data-searchable]")
    page.locator("#count", has_text="1 of").wait_for()
    assert count(page) == 1


def test_two_models_are_flipped_in_place(page, written, whole_run):
    opened(page, written(whole_run))
    answer = page.locator("#sample pre.answer")
    assert answer.all_inner_texts() == ["The dog barks M2.", "The dog barks M3."]
    page.get_by_role("button", name="all models").click()
    page.locator("#sample h4", has_text="SFT").wait_for()
    assert answer.count() == 5
    page.keyboard.press("f")
    page.locator("#sample h4", has_text="M3").wait_for()
    assert answer.count() == 1
    page.keyboard.press("f")
    page.locator("#sample h4", has_text="M2").wait_for()
    assert answer.inner_text() == "The dog barks M2."


def test_every_sample_has_an_address(page, written, whole_run):
    address = written(whole_run)
    opened(page, f"{address}#sample=examiner/w077")
    assert "What sound does animal 77 make?" in page.locator("#sample pre.prompt").inner_text()
    page.keyboard.press("j")
    page.locator("#sample .address", has_text="w078").wait_for()
    assert page.url.endswith("#sample=examiner/w078")


def test_an_address_brings_its_sample_into_view(page, written, whole_run):
    opened(page, f"{written(whole_run)}#sample=examiner/w119")
    page.locator("#sample .address", has_text="w119").wait_for()
    line = page.locator("#found [aria-current]")
    for part in (page.locator("#sample h3"), line):
        box = part.bounding_box()
        assert 0 < box["y"] < 900 - box["height"]


def test_another_order_shows_what_comes_first_in_it(page, written, whole_run):
    opened(page, written(whole_run))
    choose(page, order="biggest losses of M3")
    first = page.locator("#found .line").first.get_attribute("data-id")
    page.locator("#sample .address", has_text=first).wait_for()
    page.get_by_role("button", name="next").click()
    page.locator("#sample .steps", has_text="2 of 120").wait_for()


def test_a_game_is_said_from_both_sides_with_one_answer_each(page, written):
    game = ItemResult(
        id="g",
        answer="So too.",
        outcome=Score(value=1),
        against="M0",
        details={
            "prompt": "Why?",
            "opponent_answer": "So.",
            "verdicts": [{"text": "[[A]]", "value": 1.0, "order": "own answer first"}],
        },
    )
    other = game.model_copy(update={"answer": "So.", "against": "SFT"})
    stages = tuple(
        StageResult(
            stage=Stage(iteration=number, kind="evaluate"),
            model=ref(model),
            evaluations=(
                EvalResult(
                    evaluation="head_to_head", model=model, protocol="p", metrics=(), items=(item,)
                ),
            ),
        )
        for number, (model, item) in enumerate((("M0", other), ("M1", game)))
    )
    opened(page, written(RunRecord(request={}, environment={}, stages=stages)))
    page.locator("#sample [aria-label=M1] h4").wait_for()
    assert page.locator("#sample h4").all_inner_texts() == [
        "M0 loses against M1", "M1 wins against M0"
    ]  # fmt: skip
    assert page.locator("#sample pre.answer").all_inner_texts() == ["So.", "So too."]
    details = page.locator("#sample [aria-label=M1] details[open]").inner_text()
    assert "own answer first: wins" in details
    assert "opponent answer" not in details


def test_print_is_light_and_unfolded(page, written, whole_run):
    opened(page, written(whole_run))
    page.locator("#theme").click()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.locator("main > section:not(#samples) details:not([open])").count() == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_keyboard_reaches_everything(page, written, whole_run):
    opened(page, written(whole_run))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


RUNS = ["whole_run", "half_run", "nothing_yet", "one_model", "not_measured", "all_failed"]


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [
        ("whole_run", 1280, False),
        ("whole_run", 1280, True),
        ("whole_run", 390, False),
        ("half_run", 390, True),
        ("all_failed", 1280, False),
    ],
)
def test_there_is_no_serious_barrier(name, width, dark, request, browser, written):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    address = written(request.getfixturevalue(name))
    with chromium.opened(browser, width=width, dark=dark) as page:
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        found = axe.run(page).response["violations"]
    serious = [
        (one["id"], one["nodes"][0]["html"])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("name", RUNS)
def test_no_page_is_wider_than_a_phone(name, request, browser, written):
    address = written(request.getfixturevalue(name))
    with chromium.opened(browser, width=390, height=844) as page:
        page.goto(address)
        page.wait_for_load_state()
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(width) <= 0


@pytest.mark.parametrize("system", [True, False])
def test_a_dark_page_is_printed_dark_on_light(system, browser, written, whole_run):
    address = written(whole_run)
    with chromium.opened(browser, dark=system) as page:
        opened(page, address)
        if not system:
            page.locator("#theme").click()
        colour = "getComputedStyle(document.body).color"
        assert page.evaluate(colour) == "rgb(230, 233, 236)"
        page.emulate_media(media="print")
        assert page.evaluate(colour) == "rgb(28, 32, 36)"


def test_the_page_reads_without_its_script(browser, written, whole_run):
    address = written(whole_run)
    with chromium.opened(browser, script=False) as page:
        page.goto(address)
        assert page.locator("h2").first.is_visible()
        assert page.get_by_text("it has not run").is_visible()
