"""What the method will do is told beforehand: exactly where data and settings say it."""

import pytest

from harness.judge import pointwise
from harness.planned import Planner
from harness.planning.tokens import counter
from harness.protocols import user
from harness.records import Cost, ModelRef, Stage, StageResult
from training.self_rewarding.plan import lesson_of, plan
from training.self_rewarding.settings import SelfRewardingSettings
from training.self_rewarding.trainer import SelfRewarding
from training.settings import Launcher

M0 = ModelRef(location="microworld")
COUNT = counter(M0).count
BASE = {
    "seeds": {
        "ift": "microworld:ift",
        "ift_rows": 60,
        "eft": "microworld:eft",
        "eft_groups": 20,
        "disjoint": False,
        "annotator": "data",
    },
    "rubric": "microworld",
    "sft": {"learning_rate": 1e-3, "batch_size": 8, "epochs": 2},
    "dpo": {"learning_rate": 1e-5, "batch_size": 4, "checkpoint_every": 5},
    "proposing": {"wanted": 40, "requests": 10, "template": "microworld", "max_tokens": 48},
    "candidates": {"n": 4, "max_tokens": 48},
    "judging": {"n": 3, "max_tokens": 34},
}


def planned(earlier=(), iterations=2, **changed):
    settings = SelfRewardingSettings.model_validate(BASE | changed)
    return plan(settings, pointwise("microworld"), M0, iterations, 0, COUNT, earlier)


def work(training, part):
    [found] = [one for one in training.work if one.part == part]
    return found


def test_the_trainer_is_a_planner():
    assert isinstance(SelfRewarding(SelfRewardingSettings.model_validate(BASE)), Planner)


def test_the_first_round_is_known_from_its_data():
    first = planned()[0]
    assert [m.name for m in first.models] == ["SFT", "M1"]
    sft, both = work(first, "train SFT"), work(first, "train M1")
    assert sft.rows == 60
    assert sft.lesson.updates == 2 * 8  # two epochs of 60 rows in eights
    assert both.rows > sft.rows
    assert both.prompt_tokens > sft.prompt_tokens
    assert first.assumptions == ()
    assert first.verdict.mean == pytest.approx(19, abs=4)
    assert 1 <= first.verdict.tail < 1.5  # verdicts of the micro-world are all alike
    assert len(first.prompts["IFT"]) == 60


def test_a_later_round_is_known_by_its_settings():
    second = planned()[1]
    assert [m.name for m in second.models] == ["M2"]
    assert work(second, "candidates").rows == 160
    assert work(second, "judge").rows == 480
    assert work(second, "prompts").rows == 60  # 40 of 0.7 kept, in tens
    assert work(second, "prompts").prompt_tokens > 60 * 20
    dpo = work(second, "train M2")
    assert dpo.model.name == "M1"  # which learns from its own candidates
    assert dpo.rows == 28
    assert dpo.lesson.reference
    assert dpo.lesson.sequences == 2
    assert dpo.lesson.checkpoints == 1  # of 7 updates, every 5
    assert any("70% of the prompts give a pair" in note for note in second.assumptions)


def test_an_earlier_run_knows_better():
    before = StageResult(
        stage=Stage(iteration=2, kind="train"),
        model=ModelRef(name="M2", location="m2"),
        metrics={
            "prompts": {"wanted": 20, "requested": 25},
            "pairs": {"prompts": 20, "pairs": 18},
        },
        costs={
            "candidates": Cost(rows=80, prompt_tokens=200, new_tokens=800),
            "judge": Cost(rows=180, prompt_tokens=1200, new_tokens=1800),
            "prompts": Cost(rows=25, prompt_tokens=2500, new_tokens=250),
        },
    )
    second = planned([before])[1]
    assert work(second, "prompts").rows == 50
    assert work(second, "candidates").new_tokens == 1600
    judge = work(second, "judge")
    assert judge.rows == 160 * 180 / 240 * 3  # a quarter of the answers was there twice
    assert judge.new_tokens == 3600
    assert work(second, "train M2").rows == 36
    assert second.assumptions == ()


def test_without_eft_m1_is_the_baseline():
    seeds = {name: value for name, value in BASE["seeds"].items() if name != "eft"}
    first = planned(seeds=seeds, iterations=1)[0]
    assert [m.name for m in first.models] == ["M1"]
    assert [one.part for one in first.work if one.kind == "train"] == ["train SFT"]


def test_an_annotating_baseline_is_asked():
    first = planned(seeds=BASE["seeds"] | {"annotator": "sft", "annotation": {"n": 2}})[0]
    eft = work(first, "eft")
    assert eft.model.name == "SFT"
    assert eft.rows % 2 == 0
    assert eft.rows >= 2 * 2 * 20


def test_data_that_are_not_at_hand_are_assumed_and_said(monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    first = planned(seeds=BASE["seeds"] | {"ift": "nobody/nothing", "ift_rows": 500})[0]
    assert work(first, "train SFT").rows == 500
    assert "not at hand" in first.assumptions[0]


def test_controls_ask_for_less_or_other_things():
    second = planned(judge="random")[1]
    assert [one.part for one in second.work if one.part == "judge"] == []
    imitating = planned(learn_from="positives")[1]
    assert not work(imitating, "train M2").lesson.reference


def test_selection_asks_every_checkpoint():
    chosen = {"prompts": "microworld:evaluation", "rows": 30}
    sft = BASE["sft"] | {"checkpoint_every": 100}
    second = planned(selection=chosen, sft=sft)[1]
    answers, verdicts = [one for one in second.work if one.part == "selection"]
    assert (answers.rows, verdicts.rows) == (60, 180)


def test_processes_share_an_update():
    settings = SelfRewardingSettings.model_validate(BASE).sft
    launcher = Launcher(name="accelerate", processes=4, strategy="fsdp2")
    lesson = lesson_of(settings, launcher, rows=60, longest=30)
    assert (lesson.micro_batch_size, lesson.processes, lesson.strategy) == (2, 4, "fsdp2")


def test_requests_of_a_pilot_are_those_of_the_parts():
    trainer = SelfRewarding(SelfRewardingSettings.model_validate(BASE))
    found = trainer.examples(M0, seed=0, rows=24)
    assert {part: len(asked) for part, asked in found.items()} == {
        "prompts": 10,
        "candidates": 6,
        "judge": 8,
    }
    assert found["candidates"][0].sampling.n == 4
    rubric = pointwise("microworld").text.partition("{")[0]
    assert all(one.prompt[0].content.startswith(rubric) for one in found["judge"])
    assert COUNT(user("")) < COUNT(found["judge"][0].prompt)
