import pytest
from pydantic import ValidationError

from harness.engines.scripted import END, Scripted
from harness.protocols import Continuation, Request, Sampling, user
from harness.records import ModelRef

REF = ModelRef(name="M1", location="anywhere")


def answers(script: Scripted, prompt, **sampling) -> list[str]:
    with script.open(REF) as model:
        return [c.text for c in model.generate([Request("r", prompt, Sampling(**sampling))])]


def test_the_first_pattern_decides() -> None:
    script = Scripted(
        Scripted.Config(replies={r"capital of \w+": "Paris.", "capital": "Money."}, default="No.")
    )
    assert answers(script, user("The capital of France?")) == ["Paris."]
    assert answers(script, "What is capital?") == ["Money."]
    assert answers(script, user("Why?")) == ["No."]
    assert answers(script, tuple(b"What is capital?")) == ["Money."]


def test_several_texts_are_all_said_and_the_first_when_greedy() -> None:
    script = Scripted(Scripted.Config(default=("a", "b", "c")))
    assert set(answers(script, "x", n=40)) == {"a", "b", "c"}
    assert answers(script, "x", n=3, temperature=0) == ["a", "a", "a"]


def test_token_ids_are_bytes_and_the_end() -> None:
    with Scripted(Scripted.Config(default="né")).open(REF) as model:
        [whole] = model.generate([Request("r", "x", Sampling())])
        [cut] = model.generate([Request("r", "x", Sampling(max_tokens=2))])
    assert whole.token_ids == (*"né".encode(), END)
    assert whole.finish_reason == "stop"
    assert (cut.token_ids, cut.finish_reason) == (tuple("né".encode()[:2]), "length")


def test_failures_are_injected_by_pattern() -> None:
    script = Scripted(Scripted.Config(failures={"Atlantis": "refused"}))
    with script.open(REF) as model:
        rows = [Request(p, user(p), Sampling(n=2)) for p in ("Atlantis", "France")]
        failures = [(c.id, c.failure.reason if c.failure else None) for c in model.generate(rows)]
        [score] = model.loglikelihood([Continuation("a", user("Atlantis"), "Yes.")])
    assert failures == [("Atlantis", "refused")] * 2 + [("France", None)] * 2
    assert score.failure is not None


def test_a_function_can_be_the_script() -> None:
    def reply(ref: ModelRef, request: Request, index: int) -> str:
        return f"{ref.name} {request.id} {index}"

    script = Scripted(Scripted.Config(), reply=reply)
    assert answers(script, "x", n=2) == ["M1 r 0", "M1 r 1"]


def test_the_script_is_the_likeliest_continuation() -> None:
    script = Scripted(Scripted.Config(default=("Paris.", "Rome.")))
    rows = [Continuation(text, "x", text) for text in ("Paris.", "Rome..", "Parma.")]
    with script.open(REF) as model:
        scores = {score.id: score for score in model.loglikelihood(rows)}
    assert [scores[text].greedy for text in ("Paris.", "Rome..", "Parma.")] == [True, False, False]
    assert scores["Paris."].logprob > scores["Parma."].logprob > scores["Rome.."].logprob


def test_different_scripts_are_different_models() -> None:
    with (
        Scripted(Scripted.Config()).open(REF) as a,
        Scripted(Scripted.Config(default="x")).open(REF) as b,
    ):
        assert a.ref.fingerprint != b.ref.fingerprint


def test_a_bad_pattern_is_refused() -> None:
    with pytest.raises(ValidationError, match="no regular expression"):
        Scripted.Config(replies={"(": "x"})
