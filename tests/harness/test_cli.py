import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from harness import cli, machine
from harness.errors import HarnessError

RUNNER = CliRunner()
HEAVY = "torch", "transformers", "trl", "datasets", "peft", "accelerate", "tokenizers"
SCRIPT = """
[model]
location = "script"
[engine]
name = "scripted"
default = "Hello, please."
"""
PROBE = """
import sys
from harness.cli import main
sys.argv = ["harness", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("HEAVY", sorted(set(sys.modules) & {heavy}))
"""


def harness(*arguments, **options):
    """Run the command line as a user does, in a process of its own."""
    code = "from harness.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.fixture
def finished(tmp_path):
    """The folder of a finished run, and its request."""
    request = tmp_path / "request.toml"
    request.write_text(f'iterations = 0\nevaluations = ["judge_agreement"]\n{SCRIPT}')
    done = harness("run", str(request), "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "run", request


def test_the_light_commands_import_nothing_heavy(finished):
    folder, request = finished
    probe = PROBE.format(heavy=set(HEAVY))
    for arguments in (
        ["--help"],
        ["list"],
        ["doctor"],
        ["submit", "--help"],
        ["status", str(folder)],
        ["report", str(folder)],
        ["run", str(request), "--out", str(folder)],  # finished: there is nothing to do
    ):
        done = subprocess.run(
            [sys.executable, "-c", probe, *arguments], capture_output=True, text=True, timeout=120
        )
        assert "HEAVY []" in done.stdout, (arguments, done.stdout[-500:], done.stderr)


def test_a_run_leaves_reports_that_other_tools_read(finished):
    folder, _ = finished
    assert {"report.md", "report.txt", "summary.json"} <= {p.name for p in folder.iterdir()}
    rows = json.loads((folder / "summary.json").read_text())
    (rate,) = [row for row in rows if row["metric"] == "failure_rate"]
    assert rate["value"] == 1.0  # the script has no verdicts: all failed, none a number
    (accuracy,) = [row for row in rows if row["metric"] == "pairwise_accuracy"]
    assert (accuracy["value"], accuracy["n"]) == (None, 0)
    assert accuracy["failed"] > 0


def test_a_report_that_the_request_does_not_name_is_written_when_asked_for(finished):
    folder, _ = finished
    done = harness("report", str(folder), "--as", "latex")
    assert done.stdout.split() == [str(folder / "report.tex")]
    assert (folder / "report.tex").read_text().endswith("\\end{document}\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[model]\nlocation = "nowhere/at/all"\nevaluations = []', "unknown key"),
        ('iterations = 0\n[model]\nlocation = "no/such/folder"', "no such folder"),
        ('evaluations = ["nope"]\niterations = 0\n[model]\nlocation = "m"', "'nope' is not in"),
        (f'iterations = 0\nevaluations = ["examiner"]\n{SCRIPT}', "needs a judge"),
        ('[model]\nlocation = "m"', "'seeds' is missing"),
    ],
)
def test_a_users_mistake_is_one_line_and_not_zero(tmp_path, text, says):
    request = tmp_path / "request.toml"
    request.write_text(text)
    done = harness("run", str(request), "--out", str(tmp_path / "run"))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("harness: ")]
    assert says in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_ended_from_outside_it_says_that_the_same_command_continues(tmp_path, sent, status, says):
    process = subprocess.Popen(
        [sys.executable, "-c", "from harness.cli import main; main()", "run", "--out", "run"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # Whoever started the tests in the background has Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert "00-evaluate" in process.stderr.readline()
        process.send_signal(sent)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == status
    assert f"{says}; the same command continues" in said
    assert (tmp_path / "run" / "request.json").exists()


def test_a_folder_without_a_run_is_one_line(tmp_path):
    done = harness("status", str(tmp_path))
    assert done.returncode == 1
    assert "holds no run" in done.stderr


def test_doctor_says_what_is_missing(monkeypatch):
    assert "threads" in RUNNER.invoke(cli.app, ["doctor"]).output
    monkeypatch.setattr(machine, "installed", lambda name: None if name == "trl" else "1")
    broken = RUNNER.invoke(cli.app, ["doctor"])
    assert isinstance(broken.exception, HarnessError)
    assert "missing: trl" in str(broken.exception)


def test_threads_are_what_the_user_says_or_what_is_idle(monkeypatch):
    assert machine.choose_threads({"OMP_NUM_THREADS": "3"}).count == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.2, 0, 0))
    assert machine.choose_threads({}).count == 3
    monkeypatch.setattr(os, "getloadavg", lambda: (40.0, 0, 0))
    assert machine.choose_threads({}).count == 1


def test_the_device_and_why(monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: ("H200",))
    monkeypatch.setattr(machine, "installed", lambda name: "2.13.0+cpu")
    assert machine.device()[0] == "CPU"
    monkeypatch.setattr(machine, "installed", lambda name: "2.13.0")
    assert machine.device()[0] == "H200"


def test_stored_judgements_are_scored_without_a_model(tmp_path):
    said = tmp_path / "said.txt"
    said.write_text("Hello.\nHello, please.\n")
    shown = RUNNER.invoke(cli.app, ["score", "politeness", str(said), str(said)])
    assert shown.exit_code == 0
    assert shown.output.splitlines()[1].split()[:3] == ["file", "polite", "0.5"]
    assert "by hand" in shown.output
    [row] = json.loads(RUNNER.invoke(cli.app, ["score", "politeness", str(said), "--json"]).output)
    assert (row["metric"], row["value"], row["n"], row["failed"]) == ("polite", 0.5, 2, 1)
    assert row["low"] < 0.5 < row["high"]


def test_what_cannot_be_scored_from_files_says_so(tmp_path):
    with pytest.raises(HarnessError, match="examiner cannot be scored from files alone"):
        RUNNER.invoke(cli.app, ["score", "examiner", str(tmp_path)], catch_exceptions=False)


def test_what_a_file_says_does_not_steer_the_terminal(finished):
    folder, _ = finished
    path = folder / "stages" / "00-evaluate" / "stage.json"
    path.write_text(path.read_text().replace('"M0"', '"M0\\u001b[2J"'))
    done = harness("submit", "hub", str(folder), "--model", "M1", "--out", str(folder / "out"))
    assert done.returncode == 1
    assert "it measured M0 [2J; name one" in done.stderr


def test_a_cap_on_a_judge_that_costs_nothing_is_refused(tmp_path):
    result = CliRunner().invoke(cli.app, ["run", "--max-usd", "5", "--out", str(tmp_path / "run")])
    assert isinstance(result.exception, HarnessError)
    assert "the engine 'examiner' of [judge] runs here and costs nothing" in str(result.exception)
    assert not (tmp_path / "run").exists()
