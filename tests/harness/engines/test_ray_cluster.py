"""The `ray` engine on real clusters of this machine: `pytest -m ray`, some minutes on two cores.

Processes are killed and hang, machines come and go; `unreliable_engine` keeps a diary of each row
that it computes, so that what a death costs can be counted.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from importlib import import_module
from pathlib import Path
from random import Random

import psutil
import pytest

from harness.config import Choice
from harness.engines.ray import Cluster, Ray
from harness.engines.scripted import LoadedScript
from harness.engines.transformers import Transformers
from harness.errors import ConfigError, DataError
from harness.microworld.items import draw
from harness.protocols import Concurrent, Continuation, Request, Sampling, user
from harness.records import ModelRef
from tests.plugin_package import unreliable_engine

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
ANY = ModelRef(location="any")
M0 = ModelRef(location="microworld")
WINDOW = 20
PATIENCE = 120  # seconds


@pytest.fixture(scope="module", autouse=True)
def _workers_find_the_plugins():
    """As they would be installed on the machines of a cluster: it inherits what is set here."""
    shut_down()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'plugin_package'}")
        patched.setenv("OMP_NUM_THREADS", "1")
        yield
    shut_down()


@pytest.fixture
def diary(tmp_path):
    return Diary(tmp_path)


def shut_down():
    import_module("ray").shutdown()  # not imported where these tests are left out


class Diary:
    """What processes of the unreliable engine say that they did."""

    def __init__(self, folder):
        self.folder = folder

    @property
    def processes(self):
        return sorted(int(file.name) for file in self.folder.iterdir() if file.name.isdigit())

    def of(self, process):
        return (self.folder / str(process)).read_text().split()

    @property
    def computed(self):
        return Counter(id for process in self.processes for id in self.of(process))

    def open(self, replicas, pause=0.0, concurrent=False, **cluster):
        options = {"diary": str(self.folder), "pause": pause, "concurrent": concurrent}
        engine = Choice(name="unreliable", **options)
        cluster = Cluster(**{"window": WINDOW, "cpus": 1, "gpus": 0} | cluster)
        return Ray(Ray.Config(engine=engine, replicas=replicas, cluster=cluster)).open(ANY)


def rows(count, n=1, **odd):
    """Requests that are harmless but for those that are named: `row_7="kills once"`.

    Their prompts differ and are of one length, so that they are asked in this order.
    """
    sampling = Sampling(n=n, seed=1)
    return [
        Request(f"row_{i}", f"{i:06} {odd.get(f'row_{i}', '')}".ljust(20), sampling)
        for i in range(count)
    ]


def expected(requests):
    script = LoadedScript(ANY, unreliable_engine.SCRIPT, None)
    return {(c.id, c.index): c.text for c in script.generate(requests)}


def texts(completions):
    found = list(completions)
    assert len({(c.id, c.index) for c in found}) == len(found)
    return {(c.id, c.index): c.text for c in found if c.failure is None}


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.05)


def test_two_replicas_answer_as_the_engine_alone():
    rng = Random(0)
    prompts = [user(draw(rng, held_out=True).prompt) for _ in range(48)]
    sampled = Sampling(n=3, temperature=0.7, top_p=0.9, max_tokens=24, seed=1, logprobs=True)
    greedy = Sampling(temperature=0, max_tokens=24, logprobs=True)
    requests = [Request(f"s{i}", prompt, sampled) for i, prompt in enumerate(prompts)]
    requests += [Request(f"g{i}", prompt, greedy) for i, prompt in enumerate(prompts)]
    scored = [Continuation(str(i), prompt, " yes") for i, prompt in enumerate(prompts)]
    found, scores = [], []
    config = Ray.Config(replicas=2, cluster=Cluster(window=16))
    for engine in (Transformers(Transformers.Config()), Ray(config)):
        with engine.open(M0) as model:
            found.append({(c.id, c.index): c for c in model.generate(requests)})
            scores.append({s.id: s for s in model.loglikelihood(scored)})
            assert model.ref.fingerprint
            assert model.ref.location == "microworld"
            assert model.count_tokens(prompts[0]) == len(found[0]["s0", 0].prompt_ids)
    alone, spread = found
    assert set(alone) == set(spread)
    assert len(alone) == 48 * 4
    # Batches of another make-up round otherwise; a sampled token may fall on the other side.
    same = [key for key in alone if alone[key].token_ids == spread[key].token_ids]
    assert {key for key in alone if key[0].startswith("g")} <= set(same)
    assert len(same) >= 0.98 * len(alone)
    for key in same:
        assert spread[key].text == alone[key].text
        assert spread[key].finish_reason == alone[key].finish_reason
        assert spread[key].logprobs == pytest.approx(alone[key].logprobs, abs=1e-4)
    for id, score in scores[0].items():
        assert scores[1][id].logprob == pytest.approx(score.logprob, abs=1e-4)
        assert scores[1][id].greedy == score.greedy


def test_a_killed_worker_costs_only_its_unfinished_rows(diary):
    requests = rows(200, n=2)
    with diary.open(replicas=2, pause=0.02, window=2 * WINDOW) as model:
        wait_until(lambda: len(diary.processes) == 2)
        heard, killed = [], None
        for completion in model.generate(requests):
            heard.append(completion)
            if killed is None and len(heard) >= 60 and all(map(diary.of, diary.processes)):
                killed = diary.processes[0]
                before = {c.id for c in heard}
                os.kill(killed, signal.SIGKILL)
    assert texts(heard) == expected(requests)
    assert killed and len(diary.processes) == 3, "it was replaced"
    computed = diary.computed
    print("computed twice:", sum(computed.values()) - 200, "of a window of", WINDOW)
    assert all(computed[id] == 1 for id in before)
    assert set(computed.values()) <= {1, 2}
    assert sum(computed.values()) - 200 <= WINDOW
    twice = {id for id, times in computed.items() if times == 2}
    assert twice <= set(diary.of(killed))


def test_a_row_that_always_kills_fails_alone_and_one_that_killed_once_does_not(diary):
    requests = rows(60, row_5="kills always", row_40="kills once")
    with diary.open(replicas=2) as model:
        found = list(model.generate(requests))
    failed = [c for c in found if c.failure is not None]
    assert [(c.id, c.failure.reason) for c in failed] == [("row_5", "replica_lost")]
    assert texts(found) == {k: v for k, v in expected(requests).items() if k[0] != "row_5"}
    assert "its worker process has died" in failed[0].failure.detail


def test_a_worker_that_hangs_is_replaced(diary):
    requests = rows(60, row_5="hangs once")
    with diary.open(replicas=1, stalled_after=4) as model:
        assert texts(model.generate(requests)) == expected(requests)
    assert (diary.folder / "hang").exists()
    assert len(diary.processes) == 2
    assert all(map(gone, diary.processes)), "what hangs is killed, not left to itself"


def gone(pid):
    try:
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
    except AssertionError:
        return False
    return True


def test_leaving_early_frees_the_workers_for_what_comes_next(diary):
    with diary.open(replicas=1, pause=0.05) as model:
        with closing(model.generate(rows(100))) as stream:
            next(stream)
        began = len(diary.computed)
        others = [Request("other", "Hello", Sampling())]
        assert texts(model.generate(others)) == expected(others)
        assert isinstance(model, Concurrent)
    assert len(diary.computed) <= began + 4, "the rest of its chunk is not computed"


def test_an_engine_that_several_may_ask_is_handed_rows_while_others_are_under_way(diary):
    """The second row waits for the third, which is given only once the first is finished."""
    requests = rows(60, row_1="after row_2")
    with diary.open(replicas=1, concurrent=True, window=2, stalled_after=60) as model:
        assert texts(model.generate(requests)) == expected(requests)
    [process] = diary.processes
    assert diary.of(process)[:2] == ["row_0", "row_2"]


def test_what_the_engine_says_comes_back_as_its_own_error(tmp_path):
    engine = Ray(Ray.Config(engine="stored", replicas=1))
    nowhere = ModelRef(location=str(tmp_path / "nothing-here"))
    with pytest.raises(DataError, match="nothing-here"), engine.open(nowhere):
        pass


def test_what_does_not_fit_on_this_machine_is_said():
    engine = Ray(Ray.Config(engine="scripted", cluster=Cluster(gpus=64)))
    with pytest.raises(ConfigError, match="room for 0 replicas of 64 GPUs"), engine.open(ANY):
        pass
    engine = Ray(Ray.Config(engine="scripted", replicas=1000, cluster=Cluster(gpus=0)))
    with pytest.raises(ConfigError, match=r"not for 1000; ask for fewer"), engine.open(ANY):
        pass


def test_a_folder_that_a_machine_does_not_see_is_named(monkeypatch):
    monkeypatch.setattr("harness.engines.ray_replica.use_threads", lambda threads: None)
    holder = import_module("harness.engines.ray_replica").Holder(1, os.getcwd())
    with pytest.raises(DataError, match=r"is not on .*a file system they share"):
        holder.open(ModelRef(location="/not/here"), Choice(name="transformers"), is_local=True)


@pytest.fixture
def machines():
    """A cluster whose machines come and go; the first has no cores, and is only its head."""
    shut_down()
    made = import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        yield made
    finally:
        shut_down()
        made.shutdown()


def test_machines_come_and_go(machines, diary, monkeypatch):
    first = machines.add_node(num_cpus=1)
    monkeypatch.setenv("HARNESS_MARK", "set after the machine was there")
    requests = rows(400, n=2)
    with diary.open(replicas=2, pause=0.05, window=2 * WINDOW, address=machines.address) as model:
        assert len(diary.processes) == 1, "there is no room for the second"
        assert "HARNESS_MARK" in psutil.Process(diary.processes[0]).environ()
        heard = []
        stream = model.generate(requests)
        heard += [next(stream) for _ in range(20)]
        machines.add_node(num_cpus=1)
        while len(diary.processes) < 2 or not diary.of(diary.processes[1]):
            heard.append(next(stream))
        old = [pid for pid in diary.processes if diary.of(pid)[0] == heard[0].id]
        before = {c.id for c in heard}
        machines.remove_node(first, allow_graceful=False)
        heard += list(stream)
    assert texts(heard) == expected(requests)
    computed = diary.computed
    again = sum(computed.values()) - 400
    print("computed twice:", again)
    assert all(computed[id] == 1 for id in before)
    assert again <= WINDOW
    assert {id for id, times in computed.items() if times > 1} <= set(diary.of(old[0]))


def test_a_cluster_that_is_not_there_is_said_at_once():
    shut_down()
    engine = Ray(Ray.Config(engine="scripted", cluster=Cluster(address="127.0.0.1:1")))
    with pytest.raises(ConfigError, match=r"no Ray cluster at 127\.0\.0\.1:1"), engine.open(ANY):
        pass


DRIVER = """
import sys
from tests.harness.engines.test_ray_cluster import Diary, rows
from pathlib import Path
from random import Random
with Diary(Path(sys.argv[1])).open(replicas=1, pause=0.05) as model:
    for completion in model.generate(rows(100_000)):
        print(completion.id, flush=True)
"""


def test_a_driver_that_is_killed_leaves_nobody_working(diary):
    command = [sys.executable, "-c", DRIVER, str(diary.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline().startswith(b"row_")
        driver.kill()
    [worker] = diary.processes
    assert gone(worker)
