"""What a reader needs to know to run the same."""

from reports.what_ran import what_ran
from tests.reports.conftest import REQUEST


def lines(record, **request):
    return dict(what_ran(record.model_copy(update={"request": REQUEST | request})).items)


def test_every_trained_model_is_named_with_its_weights(whole_run, one_model):
    trained = lines(whole_run)["Trained"]
    assert trained.startswith("SFT (weights fp-SFT), M1 (weights fp-M1)")
    assert lines(one_model)["Trained"] == "nothing"


def test_training_data_are_named_with_their_use_and_what_is_in_files(whole_run):
    said = lines(
        whole_run,
        trainer={"name": "mine", "seeds": {"ift": ["a.jsonl", "b.jsonl"], "eft": "a.jsonl"}},
        contents={"a.jsonl": "9b74c9897bac770f", "rubric.txt": "51eb4a"},
    )
    assert said["Training data"] == "a.jsonl (9b74c9897bac770f) for IFT, EFT; b.jsonl for IFT"


def test_a_request_that_names_no_data_says_so(whole_run):
    assert lines(whole_run, trainer=None)["Training data"] == "not stated"
