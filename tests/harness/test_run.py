import json
import multiprocessing
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydantic import ValidationError

from example_plugin import Politeness, Renaming
from harness.audience import Silent
from harness.config import RunConfig
from harness.engines.scripted import LoadedScript, Scripted
from harness.errors import (
    BudgetExceeded,
    CollapseError,
    ConfigError,
    DataError,
    HarnessError,
    JudgeUnavailable,
    StoreError,
)
from harness.metering import KeptEngine, Meter
from harness.protocols import Request, Sampling, user
from harness.records import ModelRef
from harness.run import run, stages
from harness.store import Store


def request(**changes):
    table = {
        "model": {"location": "script"},
        "iterations": 2,
        "engine": {"name": "scripted", "default": ["Hello.", "Hello, please."]},
        "trainer": "renaming",
        "evaluations": ["politeness"],
        "reports": [],
    }
    return RunConfig.model_validate(table | changes)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "run")


def test_training_and_measuring_alternate():
    assert [str(stage) for stage in stages(2)] == [
        "00-evaluate",
        "01-train",
        "01-evaluate",
        "02-train",
        "02-evaluate",
    ]


def test_every_model_is_measured_once_baselines_first(store):
    record = run(request(), store)
    measured = [e.model for stage in record.stages for e in stage.evaluations]
    assert measured == ["M0", "SFT", "M1", "M2"]
    last = record.stages[-1].evaluations[0]
    assert last.items[0].details["earlier"] == ["M0", "SFT", "M1"]
    assert record.stages[3].metrics == {"lineage": ["M0", "SFT", "M1"]}


def test_what_a_stage_cost_is_counted(store):
    record = run(request(iterations=0), store)
    cost = record.stages[0].costs["M0/politeness"]
    assert cost.rows == 4
    assert cost.new_tokens > 0


def test_a_finished_run_is_read_not_done_again(store):
    first = run(request(), store)
    logs = {p: p.read_bytes() for p in store.folder.rglob("*") if p.is_file()}
    assert run(request(), store) == first
    assert {p: p.read_bytes() for p in store.folder.rglob("*") if p.is_file()} == logs


def test_a_run_goes_on_where_it_was_interrupted(store):
    broken = request(trainer={"name": "renaming", "fail_at": 2})
    with pytest.raises(RuntimeError, match="power"):
        run(broken, store)
    assert [str(s.stage) for s in store.record().stages] == [
        "00-evaluate",
        "01-train",
        "01-evaluate",
    ]
    record = run(broken, store)
    assert len(record.stages) == 5
    assert record.stages[3].costs["rename"].seconds > 0


def test_iterations_may_grow_and_nothing_else_may_change(store):
    run(request(iterations=1), store)
    assert len(run(request(iterations=2), store).stages) == 5
    with pytest.raises(StoreError, match="iterations: 2 -> 1"):
        run(request(iterations=1), store)
    with pytest.raises(StoreError, match=r"evaluations\.0\.questions: 4 -> 5; seed: 0 -> 7"):
        run(request(seed=7, evaluations=[{"name": "politeness", "questions": 5}]), store)


@pytest.mark.parametrize("name", ["alpaca_eval", "mt_bench", "head_to_head", "examiner"])
def test_an_evaluation_that_needs_a_judge_is_refused_without_one(store, name):
    with pytest.raises(ConfigError, match=f"{name} needs a judge"):
        run(request(evaluations=[name]), store)
    assert not store.folder.exists()


def _hold(folder, held):
    with Store(folder).begin({"iterations": 0}, {}):
        held.set()
        time.sleep(60)


def test_a_second_process_is_refused(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    held = spawn.Event()
    holder = spawn.Process(target=_hold, args=(tmp_path / "run", held))
    holder.start()
    try:
        assert held.wait(60)
        with (
            pytest.raises(StoreError, match=f"in use by process {holder.pid}"),
            Store(tmp_path / "run").begin({"iterations": 0}, {}),
        ):
            pass
    finally:
        holder.kill()
        holder.join()
    with Store(tmp_path / "run").begin({"iterations": 0}, {}):
        pass  # a killed process holds nothing


def test_a_file_that_changed_under_its_name_is_refused(store, tmp_path):
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("{instruction} {response}")
    asked = request(iterations=0, evaluations=[{"name": "judge_agreement", "rubric": str(rubric)}])
    run(asked, store)
    rubric.write_text("Now quite different: {instruction} {response}")
    with pytest.raises(StoreError, match=r"contents.*rubric\.txt"):
        run(asked, store)


def test_a_folder_of_rows_that_changed_under_its_name_is_refused(store, tmp_path):
    rows = tmp_path / "nlp" / "arc_easy_test.jsonl"
    rows.parent.mkdir()
    rows.write_text("{}\n")
    asked = request(iterations=0, seed=3, engine={"name": "scripted", "default": str(rows.parent)})
    run(asked, store)
    rows.write_text("{ }\n")
    with pytest.raises(StoreError, match="contents"):
        run(asked, store)


def test_a_run_can_be_moved(tmp_path):
    store = Store(tmp_path / "here")
    run(request(iterations=1), store)
    inside = store.stage_folder(stages(1)[1]) / "weights"
    made = store.stage_result(stages(1)[1])
    store.finish_stage(
        made.model_copy(update={"model": made.model.model_copy(update={"location": str(inside)})})
    )
    assert store.stage_result(stages(1)[1]).model.location == str(inside)
    store.folder.rename(tmp_path / "there")
    moved = Store(tmp_path / "there")
    assert moved.stage_result(stages(1)[1]).model.location == str(
        moved.stage_folder(stages(1)[1]) / "weights"
    )


def test_the_judge_is_opened_alone_unless_it_is_light(store, monkeypatch):
    opened, most = [], []
    plain = Scripted.open

    @contextmanager
    def counted(engine, model):
        with plain(engine, model) as loaded:
            opened.append(model.name)
            most.append(len(opened))
            yield loaded
        opened.remove(model.name)

    monkeypatch.setattr(Scripted, "open", counted)
    judged = request(
        iterations=0,
        evaluations=[{"name": "examiner", "limit": 2, "rubric": "five_points"}],
        judge={
            "engine": {"name": "scripted", "default": "Score: 3"},
            "model": {"name": "judge", "location": "script"},
        },
    )
    run(judged, store)
    assert max(most) == 2  # both are light: the model stays open beside the judge
    monkeypatch.setattr(Scripted, "light", False)
    most.clear()
    run(judged, Store(store.folder.with_name("another")))
    assert max(most) == 1


def test_two_models_at_once_are_refused():
    engine = KeptEngine(Scripted(Scripted.Config()), Meter(Silent()))
    one, other = ModelRef(name="M0", location="a"), ModelRef(name="M1", location="a")
    with engine.open(one) as loaded:
        with engine.open(one) as again:
            assert again is loaded
        with (
            pytest.raises(HarnessError, match="M1 was asked for while M0 is in use"),
            engine.open(other),
        ):
            pass
    with engine.open(other) as loaded:
        assert loaded.ref.name == "M1"


def test_what_stopped_a_run_is_kept_until_it_goes_on(store, monkeypatch):
    def collapse(trainer, model, iteration, workspace):
        raise CollapseError("M1 cannot judge")

    with monkeypatch.context() as broken:
        broken.setattr("example_plugin.Renaming.improve", collapse)
        with pytest.raises(CollapseError):
            run(request(), store)
    assert store.record().stopped == "M1 cannot judge"
    assert run(request(), store).stopped is None


def test_the_same_request_is_computed_once_while_a_model_is_open(monkeypatch):
    asked = []
    plain = LoadedScript.generate

    def counted(model, requests):
        requests = list(requests)
        asked.extend(request.id for request in requests)
        yield from plain(model, requests)

    monkeypatch.setattr(LoadedScript, "generate", counted)
    engine = KeptEngine(Scripted(Scripted.Config(default=["a", "b"])), Meter(Silent()))
    one = Request("1", user("Hi"), Sampling(n=3))
    other = Request("2", user("Hi"), Sampling(n=3, seed=1))
    with engine.open(ModelRef(location="script")) as model:
        first = sorted(model.generate([one, other]), key=lambda c: (c.id, c.index))
    with engine.open(ModelRef(location="script")) as model:
        again = sorted(model.generate([other, one]), key=lambda c: (c.id, c.index))
    assert first == again
    assert asked == ["1", "2"]


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds no run but other things \(notes\.txt\)"):
        run(request(iterations=0), Store(tmp_path))
    with pytest.raises(StoreError, match="is a file"):
        run(request(iterations=0), Store(tmp_path / "notes.txt"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_guards_may_be_loosened_and_nothing_beside_them(store):
    with store.begin({"iterations": 1, "trainer": {"guards": {"stop": True}, "n": 1}}, {}):
        assert store.worker()
    with store.begin({"iterations": 1, "trainer": {"guards": {"stop": False}, "n": 1}}, {}):
        pass
    changed = {"iterations": 1, "trainer": {"guards": {"stop": False}, "n": 2}}
    with pytest.raises(StoreError, match=r"trainer\.n: 1 -> 2"), store.begin(changed, {}):
        pass
    assert store.worker() is None


def test_what_training_needs_is_checked_before_m0_is_measured(store, monkeypatch):
    def missing(trainer, model, seed, iterations):
        raise DataError("seeds.jsonl, line 2, is not JSON")

    monkeypatch.setattr("example_plugin.Renaming.check", missing)
    with pytest.raises(DataError):
        run(request(), store)
    assert not store.folder.exists()
    assert run(request(iterations=0), store).stages


def test_one_evaluation_under_two_labels(store):
    twice = [{"name": "politeness", "questions": n, "label": f"polite-{n}"} for n in (2, 3)]
    record = run(request(iterations=0, evaluations=twice), store)
    found = {e.evaluation: e.metrics[0].n for e in record.stages[0].evaluations}
    assert found == {"polite-2": 2, "polite-3": 3}
    with pytest.raises(ValidationError, match="politeness more than once; give each a label"):
        request(evaluations=["politeness", "politeness"])


@pytest.fixture
def remote(monkeypatch):
    """Make the scripted engine one whose models are on a server; tell what it was asked."""
    asked = []

    class Distant(Scripted):
        def keep_books(self, folder):
            asked.append(folder)

        def check(self, model):
            if model.location == "gone":
                raise JudgeUnavailable("gpt-4 was shut down on 2026-10-23")
            asked.append(model)

        def accept(self, model, request):
            if request.sampling.temperature == 0 and model.location == "gpt-5":
                raise ConfigError("gpt-5 takes temperature 1 only")

        def cost(self, model, calls):
            return f"{calls.calls} calls for nothing"

    monkeypatch.setattr("harness.engines.scripted.Scripted", Distant)
    return asked


def test_models_on_servers_are_checked_before_m0_is_measured(store, remote):
    asked = request(iterations=0)
    run(asked, store)
    assert remote == [store.books, asked.model]
    remote.clear()
    run(asked, store)  # nothing is left to ask
    assert remote == [store.books]


def test_what_the_judge_will_cost_is_said_before_the_first_call(store, remote):
    said = []

    class Listening(Silent):
        def note(self, text):
            said.append((text, list(remote)))

    judge = {"engine": "scripted", "model": {"name": "judge", "location": "gpt-6-sol"}}
    examined = [{"name": "examiner", "limit": 2, "rubric": "five_points"}]
    judged = request(iterations=0, evaluations=examined, judge=judge)
    run(judged, store, Listening())
    [(text, asked_before)] = said
    assert text.startswith("the whole run asks gpt-6-sol about 2 times: ")
    assert text.endswith("2 calls for nothing")
    assert asked_before[-1] == judged.judge.model  # it was found out to be there


def test_a_judge_that_cannot_be_sampled_as_wanted_is_refused_before_m0_is_measured(store, remote):
    judge = {"engine": "scripted", "model": {"location": "gpt-5"}}
    examined = [{"name": "examiner", "limit": 2, "rubric": "five_points"}]
    with pytest.raises(ConfigError, match="temperature 1 only"):
        run(request(iterations=0, evaluations=examined, judge=judge), store)
    assert not store.folder.exists()


def test_another_request_is_refused_before_a_server_is_asked(store, remote):
    run(request(iterations=0), store)
    remote.clear()
    with pytest.raises(StoreError, match="seed: 0 -> 7"):
        run(request(iterations=0, seed=7), store)
    assert remote == [store.books]


def test_results_are_written_in_the_formats_of_their_publishers(store, monkeypatch):
    class Published(Politeness):
        def publish(self, model, result, log):
            yield f"answers/{model.name}.txt", "\n".join(log[item.id] for item in result.items)

    monkeypatch.setattr("example_plugin.Politeness", Published)
    run(request(iterations=0), store)
    written = store.folder / "published" / "M0" / "politeness" / "answers" / "M0.txt"
    assert len(written.read_text().splitlines()) == 4


def test_a_server_that_cannot_be_asked_costs_nothing(store, remote):
    with pytest.raises(JudgeUnavailable):
        run(request(iterations=0, model={"location": "gone"}), store)
    assert not store.folder.exists()
    judge = {"engine": "scripted", "model": {"location": "gone"}}
    assert run(request(iterations=0, judge=judge), store).stages  # nothing is judged


def test_a_spent_budget_keeps_what_it_bought(store, monkeypatch):
    spent = BudgetExceeded("2 of 4 rows were had for $5")
    plain = LoadedScript.generate

    def dear(model, requests):
        yield from plain(model, list(requests)[:2])
        raise spent

    with monkeypatch.context() as patch:
        patch.setattr(LoadedScript, "generate", dear)
        with pytest.raises(BudgetExceeded):
            run(request(iterations=0), store)
    assert store.record().stopped == str(spent)
    assert run(request(iterations=0), store).stages[0].evaluations[0].metrics[0].n == 4


def test_questions_are_compared_with_everything_that_was_trained_on(store):
    record = run(request(), store)
    overlap = [stage.overlap.get("politeness") for stage in record.stages]
    assert [found and found.exact for found in overlap] == [None, None, ("1",), None, ("1", "2")]
    assert overlap[-1].questions == 4
    assert overlap[-1].prompts == 3  # two a round, one of them the same
    assert run(request(), store) == record


def judged_by(points, **changes):
    return request(
        evaluations=[{"name": "examiner", "limit": 3, "rubric": "five_points"}],
        judge={
            "engine": {"name": "scripted", "default": f"Score: {points}"},
            "model": {"name": "judge", "location": "script"},
        },
        **changes,
    )


def test_another_judge_gets_the_same_answers_and_nothing_is_answered_or_trained_again(
    store, tmp_path, monkeypatch
):
    first = run(judged_by(2), store)
    asked = []
    plain = LoadedScript.generate

    def noted(model, requests):
        requests = list(requests)
        asked.extend([model.ref.name] * len(requests))
        yield from plain(model, requests)

    monkeypatch.setattr(LoadedScript, "generate", noted)
    monkeypatch.delattr("example_plugin.Renaming.improve")
    again = run(judged_by(5), Store(tmp_path / "again"), answers_from=store)
    assert set(asked) == {"judge"}
    for one, other in zip(first.stages, again.stages, strict=True):
        assert one.model == other.model
        for old, new in zip(one.evaluations, other.evaluations, strict=True):
            assert [item.answer for item in new.items] == [item.answer for item in old.items]
            assert (old.metrics[0].value, new.metrics[0].value) == (2, 5)
            assert old.protocol != new.protocol
    assert run(judged_by(5), Store(tmp_path / "again"), answers_from=store) == again


def test_answers_to_another_request_are_not_judged_anew(store, tmp_path):
    run(judged_by(2), store)
    with pytest.raises(StoreError, match="differs in seed, and only the judge may differ"):
        run(judged_by(5, seed=9), Store(tmp_path / "again"), answers_from=store)
    assert not (tmp_path / "again").exists()


def test_where_prompts_lie_is_kept_with_every_training(store, monkeypatch):
    plain = Renaming.improve

    def trained_on_more(trainer, model, iteration, workspace):
        made = plain(trainer, model, iteration, workspace)
        sets = {f"AIFT(M{iteration})": [f"Greet guest {iteration}{n}." for n in range(9)]}
        return replace(made, prompts=made.prompts | sets)

    monkeypatch.setattr(Renaming, "improve", trained_on_more)
    record = run(request(), store)
    maps = [stage.prompt_map for stage in record.stages if stage.stage.kind == "train"]
    assert [list(found.sizes) for found in maps] == [
        ["greetings 1", "AIFT(M1)"],
        ["greetings 1", "AIFT(M1)", "greetings 2", "AIFT(M2)"],
    ]
    assert all(s.prompt_map is None for s in record.stages if s.stage.kind == "evaluate")


def test_too_few_prompts_for_a_map_stop_no_run(store):
    assert [stage.prompt_map for stage in run(request(), store).stages] == [None] * 5


def test_a_run_that_kept_its_prompts_in_a_list_goes_on(store):
    first = run(request(iterations=1), store)
    kept = store.stage_folder(stages(1)[1]) / "trained_on.json"
    kept.write_text(json.dumps(["greet  Guest 1.", "Say goodbye."]))
    assert store.prompts(stages(1)) == {"01-train": ["greet  Guest 1.", "Say goodbye."]}
    record = run(request(iterations=2), store)
    assert record.stages[:3] == first.stages
    assert record.stages[-1].overlap["politeness"].exact == ("1", "2")
