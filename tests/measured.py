"""Runs on disk as `harness run` leaves them, made of results that are already there."""

from harness.records import ModelRef, Stage, StageResult
from harness.store import Store

REQUEST = {
    "model": {"name": "M0", "location": "/home/ann/models/base"},
    "iterations": 0,
    "evaluations": [],
}


def measured(folder, results, files=None, models=("M0",), **request):
    """Write a finished run.

    Args:
        folder: Where.
        results: Its evaluations' results, of any of the models.
        files: What evaluations published, by model and label: names and contents.
        models: The names of the models measured, a round each.
        request: What else was asked, `evaluations` for one.
    """
    store = Store(folder)
    asked = REQUEST | {"iterations": len(models) - 1} | request
    with store.begin(asked, {"harness": "0"}):
        for iteration, name in enumerate(models):
            stage = Stage(iteration=iteration, kind="evaluate")
            parent = models[iteration - 1] if iteration else None
            model = ModelRef(
                name=name,
                location=f"/home/ann/runs/{name}",
                parent=parent,
                fingerprint="34b7ec426acbd9a8",
            )
            for result in results:
                if result.model == name:
                    store.publish(result, (files or {}).get((name, result.evaluation), {}).items())
                    store.finish_evaluation(stage, result)
            store.finish_stage(StageResult(stage=stage, model=model))
    return folder
