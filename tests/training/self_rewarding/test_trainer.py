"""The method's variants on the micro-world, tiny: they run, and do what their names say."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.checkpoints import fingerprint, is_adapter
from harness.data.examples import PromptRow
from harness.engines.transformers import Transformers
from harness.errors import CollapseError, ConfigError, DataError
from harness.judge import pointwise
from harness.protocols import Improvement
from harness.records import ModelRef, Score
from harness.rows import RowLog
from harness.verdicts import Reading
from tests.training.self_rewarding.scripts import Recorded, workspace
from training.self_rewarding import judging
from training.self_rewarding.pairs import Candidate, choose_pairs
from training.self_rewarding.settings import SelfRewardingSettings
from training.self_rewarding.trainer import SelfRewarding

M0 = ModelRef(location="microworld")
EFT = {"eft": "microworld:eft", "eft_groups": 12}


def config(**more: Any) -> SelfRewardingSettings:
    table: dict[str, Any] = {
        "rubric": "microworld",
        "seeds": {"ift": "microworld:ift", "ift_rows": 32, "disjoint": False},
        "sft": {"learning_rate": 1e-3, "batch_size": 16},
        "dpo": {"learning_rate": 6e-5, "batch_size": 8},
        "proposing": {"file": "microworld:prompts", "wanted": 12},
        "candidates": {"n": 3, "max_tokens": 24},
        "judging": {"n": 1, "max_tokens": 34},
        "guards": {"ended": 0.0},
    }
    for name, value in more.items():
        table[name] = table.get(name, {}) | value if isinstance(value, dict) else value
    return SelfRewardingSettings.model_validate(table)


class Stage:
    """A stage of a run without evaluations: what was made, and which models were opened."""

    def __init__(
        self,
        settings: SelfRewardingSettings,
        model: ModelRef,
        folder: Path,
        number: int,
        **engine: object,
    ) -> None:
        self.engine = Recorded(Transformers(Transformers.Config(**engine)))
        self.folder = folder / f"{number:02d}"
        earlier = [folder / f"{i:02d}" for i in range(1, number)]
        place = workspace(self.folder, self.engine, M0, earlier=earlier)
        self.made: Improvement = SelfRewarding(settings).improve(model, number, place)

    @property
    def metrics(self) -> Any:
        return self.made.metrics


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


IMITATING = config(judge="random", learn_from="positives")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """M1 without EFT."""
    return Stage(IMITATING, M0, tmp_path_factory.mktemp("run"), 1)


def test_without_eft_m1_learns_from_demonstrations_alone(taught: Stage) -> None:
    assert taught.made.model.name == "M1"
    assert taught.made.comparators == ()  # M1 is the SFT baseline, and not compared with itself
    assert taught.metrics["seeds"]["ift"]["rows"] == taught.metrics["sft"]["rows_trained"] == 32
    assert "eft" not in taught.metrics
    assert taught.metrics["warnings"] == []


def test_without_eft_m1_is_the_sft_baseline_under_another_name(taught: Stage) -> None:
    model = taught.made.model
    assert model.parent == "M0"
    assert (taught.folder / "SFT").is_dir()
    assert Path(model.location).is_relative_to(taught.folder / "SFT")
    assert model.fingerprint == fingerprint(model.location)
    assert not (taught.folder / "M1").exists(), "trained once"
    assert "training" not in taught.metrics


def test_a_stage_says_which_texts_it_prompted_with(taught: Stage, by_chance: Stage) -> None:
    rubric = pointwise("microworld").fingerprint
    with Transformers(Transformers.Config()).open(M0) as model:
        assert model.chat_template
        assert taught.metrics["texts"] == {
            "rubric": rubric,
            "chat_template": model.chat_template,
        }
    assert by_chance.metrics["texts"] == {"rubric": rubric}


def test_a_stage_says_what_it_was_trained_on_by_set(taught: Stage, by_chance: Stage) -> None:
    assert {name: len(prompts) for name, prompts in taught.made.prompts.items()} == {"IFT": 32}
    [(name, prompts)] = by_chance.made.prompts.items()
    assert name == f"AIFT({by_chance.made.model.parent})"
    assert len(prompts) == 12


def test_positives_are_added_to_the_seeds_and_m0_is_trained_anew(taught: Stage) -> None:
    before = snapshot(taught.folder)
    stage = Stage(IMITATING, taught.made.model, taught.folder.parent, 2)
    assert stage.metrics["positives"] > 0
    assert stage.metrics["training"]["rows_trained"] == 32 + stage.metrics["positives"]
    assert (stage.made.model.name, stage.made.model.parent) == ("M2", "M0")
    assert snapshot(taught.folder) == before, "a finished stage stays as it is"


@pytest.mark.parametrize("on_collapse", ["stop", "warn"])
def test_a_round_without_a_perfect_answer_stops_or_warns(
    on_collapse: str, taught: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(taught.folder, tmp_path / "01")
    monkeypatch.setattr(
        judging,
        "judge_by_chance",
        lambda candidates, n, seed: {
            key: (Score(value=4.0),) if one.ended else () for key, one in candidates.items()
        },
    )
    settings = config(judge="random", learn_from="positives", guards={"on_collapse": on_collapse})
    if on_collapse == "stop":
        with pytest.raises(CollapseError, match=r"^M1 judged no answer perfect"):
            Stage(settings, taught.made.model, tmp_path, 2)
        assert not (tmp_path / "02" / "M2").exists()
    else:
        stage = Stage(settings, taught.made.model, tmp_path, 2)
        assert stage.metrics["positives"] == 0
        assert stage.metrics["training"]["rows_trained"] == 32
        [warning] = stage.metrics["warnings"]
        assert warning.startswith("M1 judged no answer perfect")


def test_a_model_that_was_never_taught_to_judge_is_stopped(taught: Stage, tmp_path: Path) -> None:
    with pytest.raises(
        CollapseError, match=r"^M1 cannot judge: \d+% of its \d+ verdicts .*no_score \d+.*EFT"
    ):
        Stage(config(), taught.made.model, tmp_path, 2)
    assert not (tmp_path / "02" / "M2").exists(), "nothing was trained on them"


@pytest.mark.parametrize(
    ("on_collapse", "message"),
    [
        ("stop", r"^SFT cannot judge: \d+% of its \d+ verdicts could not be read .*no_score \d+"),
        ("warn", r"^none of the 12 EFT groups .*\(unreadable \d+\).*SFT cannot judge"),
    ],
)
def test_an_sft_baseline_that_cannot_judge_writes_no_judgements(
    on_collapse: str, message: str, tmp_path: Path
) -> None:
    seeds = EFT | {"annotator": "sft", "annotation": {"max_tokens": 34}}
    with pytest.raises(CollapseError, match=message):
        Stage(config(seeds=seeds, guards={"on_collapse": on_collapse}), M0, tmp_path, 1)
    rows = (tmp_path / "01" / "annotations.jsonl").read_text().splitlines()
    assert len(rows) >= 24, "two or more answers a group"
    assert not (tmp_path / "01" / "M1").exists()


@pytest.fixture(scope="module")
def by_chance(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """M2 from M0 and a random judge."""
    return Stage(config(judge="random"), M0, tmp_path_factory.mktemp("by_chance"), 2)


def test_a_random_judge_makes_pairs_without_asking_a_model(by_chance: Stage) -> None:
    pairs = by_chance.metrics["pairs"]
    assert pairs["prompts"] == 12 == pairs["pairs"] + sum(pairs["without"].values())
    assert by_chance.metrics["training"]["pairs_trained"] == pairs["pairs"] > 0
    assert by_chance.metrics["judgements"]["failed"] == {}
    assert not (by_chance.folder / "verdicts.jsonl").exists()
    assert by_chance.engine.opened == ["M0"], "the given model answers, and no other"


def test_a_finished_round_is_done_once(by_chance: Stage) -> None:
    before = snapshot(by_chance.folder)
    again = Stage(config(judge="random"), M0, by_chance.folder.parent, 2)
    assert again.made == by_chance.made
    assert snapshot(by_chance.folder) == before


def test_dpo_starts_from_m_t_on_the_very_tokens_that_it_sampled(by_chance: Stage) -> None:
    prompts, candidates = [], {}
    with RowLog(by_chance.folder / "candidates.jsonl") as log:
        with RowLog(by_chance.folder / "prompts.jsonl") as kept:
            prompts = [PromptRow(id, prompt) for id, prompt in kept.items()]
        for row in prompts:
            for index, fields in enumerate(log[row.id]):
                candidates[f"{row.id}/{index}"] = Candidate.model_validate(fields)
    given = judging.judge_by_chance(candidates, n=1, seed=2)
    pairs = choose_pairs(judging.by_prompt(prompts, candidates, given)).pairs
    rows = [[p.chosen.prompt_ids, p.chosen.token_ids, p.rejected.token_ids] for p in pairs]
    [end] = {ids[-1] for row in rows for ids in row[1:]}
    assert all(ids.count(end) == 1 for row in rows for ids in row[1:])

    asked = json.loads((by_chance.folder / "M2" / "asked.json").read_text())
    assert asked["rows"] == hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
    assert asked["start"].startswith("microworld")
    assert by_chance.made.model.parent == "M0"


def test_a_checkpoint_is_selected(tmp_path: Path) -> None:
    """Its verdicts cannot be read, so no checkpoint beats M1, which is M0 by another name."""
    settings = config(
        judge="random",
        sft={"checkpoint_every": 1},
        dpo={"checkpoint_every": 1},
        selection={"prompts": "microworld:evaluation", "rows": 4},
    )
    stage = Stage(settings, M0.model_copy(update={"name": "M1"}), tmp_path, 2)
    model = stage.made.model
    assert stage.metrics["training"]["kept"] == Path(model.location).name == "step-00001"
    assert stage.metrics["training"]["compared"][0]["failed"] == 4
    assert "does not beat M1" in stage.metrics["warnings"][0]
    assert model.fingerprint == fingerprint(model.location)
    assert (model.name, model.parent) == ("M2", "M1")


def test_adapters_can_be_trained_in_every_round(tmp_path: Path) -> None:
    """M1 may stay an adapter on M0; from M2 on the weights are whole."""
    lora = {"r": 4, "alpha": 8}
    settings = config(
        judge="random",
        seeds=EFT | {"annotator": "data"},
        sft={"lora": lora | {"save": "adapter"}},
        dpo={"lora": lora},
    )
    first = Stage(settings, M0, tmp_path, 1)
    assert first.metrics["eft"]["groups"] == 12
    second = Stage(settings, first.made.model, tmp_path, 2)
    third = Stage(settings, second.made.model, tmp_path, 3)
    stages = (first, second, third)
    models = [stage.made.model for stage in stages]
    assert [model.parent for model in models] == ["M0", "M1", "M2"]
    assert [is_adapter(model.location) for model in models] == [True, False, False]
    assert len({model.fingerprint for model in models}) == 3
    assert third.metrics["training"]["pairs_trained"] > 0
    with Transformers(Transformers.Config()).open(third.made.model) as model:
        assert model.ref.fingerprint == third.made.model.fingerprint


EVERY_STEP = {"sft": {"checkpoint_every": 1}, "dpo": {"checkpoint_every": 1}}


def test_a_trainer_with_everything_in_its_place_can_be_made(tmp_path: Path) -> None:
    file = tmp_path / "there.jsonl"
    file.write_text('{"prompt": "Ask"}\n')
    everything = {
        "seeds": {"ift": str(file), "eft": str(file), "held_out": [str(file)]},
        "proposing": {"file": str(file)},
        "selection": {"prompts": str(file)},
    }
    SelfRewarding(config(**everything, **EVERY_STEP))
    SelfRewarding(config(proposing={"file": None, "model": {"location": "microworld"}}))


@pytest.mark.parametrize("name", ["missing.jsonl", "microworld:nothing"])
@pytest.mark.parametrize(
    "option", ["seeds.ift", "seeds.eft", "seeds.held_out", "selection.prompts", "proposing.file"]
)
def test_a_source_that_is_not_there_is_refused_at_once(option: str, name: str) -> None:
    table, field = option.split(".")
    value: object = [name] if field == "held_out" else name
    settings = config(**{table: {field: value}}, **EVERY_STEP)
    with pytest.raises(DataError, match=rf"'{name}'"):
        SelfRewarding(settings)


def test_a_template_rubric_or_writer_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="template 'none'"):
        SelfRewarding(config(proposing={"template": "none"}))
    with pytest.raises(ConfigError, match="none"):
        SelfRewarding(config(rubric="none"))
    writer = {"name": "writer", "location": str(tmp_path)}
    with pytest.raises(DataError, match=r"model writer was asked for .*no config\.json"):
        SelfRewarding(config(proposing={"file": None, "model": writer}))
    gone = writer | {"location": str(tmp_path / "gone")}
    with pytest.raises(DataError, match=r"model writer was asked for .*no such folder"):
        SelfRewarding(config(proposing={"file": None, "model": gone}))


@pytest.mark.parametrize("without", ["sft", "dpo"])
def test_a_selection_needs_checkpoints_of_both_trainings(without: str) -> None:
    selection = {"prompts": "microworld:evaluation"}
    assert config(selection=selection, **EVERY_STEP).selection is not None
    rest = {name: value for name, value in EVERY_STEP.items() if name != without}
    with pytest.raises(ValidationError, match=r"selection needs sft\.checkpoint_every and dpo"):
        config(selection=selection, **rest)
    assert config(**rest).selection is None


def test_adapters_upon_adapters_are_refused() -> None:
    lora = {"lora": {"r": 4, "alpha": 8, "save": "adapter"}}
    assert config(sft=lora).sft.lora.save == "adapter"
    with pytest.raises(ValidationError, match=r"dpo\.lora\.save = .adapter. would .*set .merged."):
        config(dpo=lora)


def test_expected_scores_leave_no_full_marks_to_imitate() -> None:
    with pytest.raises(ValidationError, match=r"needs answers with full marks.*judging\.read"):
        config(learn_from="positives", judging={"read": "expected"})


def test_a_judge_of_one_token_is_taught_and_asked_for_points_alone(tmp_path: Path) -> None:
    seeds = EFT | {"eft_groups": 400, "annotator": "data"}
    more = {"read": "one_token", "max_tokens": 500}  # which it does not need
    settings = config(seeds=seeds, judging=more, guards={"on_collapse": "warn"})
    first = Stage(settings, M0, tmp_path, 1)
    taught = first.metrics["eft"]["rows"]
    assert first.metrics["training"]["rows_trained"] == 32 + taught
    second = Stage(settings, first.made.model, tmp_path, 2)
    judgements = second.metrics["judgements"]
    assert judgements["points"] == "one_token"
    # Nobody who has learnt to give reasons first would have said points.
    assert judgements["read"] == judgements["asked"] > 0
    with RowLog(tmp_path / "02" / "verdicts.jsonl") as log:
        verdicts = [Reading.model_validate(one) for row in log.values() for one in row]
    assert {one.text[:-1] for one in verdicts} == {"Score: "}
    assert any(one.outcome.value % 1 for one in verdicts)


@pytest.mark.parametrize(
    "more",
    [
        {"judging": {"max_tokens": 500}},
        {
            "judge": "random",
            "seeds": EFT | {"annotation": {"max_tokens": 500}},
        },
    ],
)
def test_a_verdict_that_cannot_fit_is_found_before_anything_is_trained(
    more: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"context too short for the judge prompt.*up to 500"):
        Stage(config(**more), M0, tmp_path, 1)
    assert not (tmp_path / "01").exists()


def test_another_chat_template_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    with pytest.raises(DataError, match="the engine prompts M0 with the chat template"):
        Stage(config(), M0, tmp_path, 1, chat_template=file)
    assert not (tmp_path / "01").exists()


def test_missing_verdicts_are_found_before_anything_is_trained(tmp_path: Path) -> None:
    file = tmp_path / "eft.jsonl"
    rows = [{"prompt": "Ask", "response": f"Say {i}", "rank": i} for i in range(2)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match="has no verdict"):
        Stage(config(seeds={"eft": str(file), "annotator": "data"}), M0, tmp_path, 1)
    assert not (tmp_path / "01").exists()


@pytest.mark.parametrize(
    "module", ["training.self_rewarding.trainer", "harness.engines.transformers"]
)
def test_what_a_finished_run_imports_is_light(module: str) -> None:
    heavy = "torch", "transformers", "trl", "datasets", "peft", "accelerate", "scipy"
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
