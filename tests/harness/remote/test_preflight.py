import asyncio
import json
from datetime import date, timedelta

import httpx2
import pytest
from openai import AsyncOpenAI

from harness.errors import ConfigError, JudgeUnavailable
from harness.remote import preflight as module
from harness.remote import prices
from harness.remote.preflight import Preflight, preflight

KEY = "sk-a-very-secret-key"
TODAY = date.today()


@pytest.fixture(autouse=True)
def _no_file_of_the_users(monkeypatch):
    monkeypatch.delenv(prices.OVERRIDE, raising=False)


class Provider:
    """A server as the package sees it: what it lists, and what it answers."""

    def __init__(self, *listed, served=None, shutdown=None, retrieves=True, lists=True):
        self.listed, self.served, self.shutdown = listed, served, shutdown
        self.retrieves, self.lists = retrieves, lists
        self.logprobs = True
        self.chat = None
        """A (status, JSON or text) to answer instead; or a list of them, used up one by one."""
        self.asked = []

    def handle(self, request):
        path = request.url.path
        if path == "/v1/models" and self.lists:
            return self.json(200, {"object": "list", "data": [self.model(m) for m in self.listed]})
        if path.startswith("/v1/models/") and self.retrieves:
            name = path.removeprefix("/v1/models/")
            return self.json(200, self.model(name)) if name in self.listed else self.json(404)
        if path == "/v1/chat/completions":
            return self.completion(json.loads(request.content))
        return self.json(404)

    def model(self, name):
        made = {"id": name, "object": "model", "created": 1, "owned_by": "us"}
        return made | ({"shutdown_date": str(self.shutdown)} if self.shutdown else {})

    def completion(self, body):
        self.asked.append(body)
        if isinstance(self.chat, list):
            override = self.chat.pop(0) if self.chat else None
        else:
            override = self.chat
        if override:
            return self.json(*override)
        steps = {"content": [{"token": "m", "logprob": -0.1, "bytes": None, "top_logprobs": [
            {"token": "m", "logprob": -0.1, "bytes": None}]}]}  # fmt: skip
        return self.json(
            200,
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": self.served or body["model"],
                "system_fingerprint": "fp_1",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "length",
                        "message": {"role": "assistant", "content": "m"},
                        "logprobs": steps if body.get("logprobs") and self.logprobs else None,
                    }
                ],
            },
        )

    def json(self, status, body=None):
        if isinstance(body, str):
            return httpx2.Response(status, text=body, headers={"content-type": "application/json"})
        return httpx2.Response(status, json=body or {"error": {"message": f"no ({status})"}})


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(
        "openai._base_client.BaseClient._calculate_retry_timeout", lambda *_, **__: 0.0
    )


def ask(provider, model, pinned=None, **options):
    handle = provider if callable(provider) else provider.handle

    async def run():
        transport = httpx2.MockTransport(handle)
        async with AsyncOpenAI(
            api_key=KEY,
            base_url="http://judge.test/v1",
            http_client=httpx2.AsyncClient(transport=transport),
        ) as client:
            return await preflight(client, model, pinned, **options)

    return asyncio.run(run())


def test_a_model_that_is_there():
    provider = Provider("gpt-4.1", served="gpt-4.1-2025-04-14")
    found = ask(provider, "gpt-4.1")
    assert found == Preflight(
        model="gpt-4.1",
        checked=TODAY,
        exists=True,
        served="gpt-4.1-2025-04-14",
        system_fingerprint="fp_1",
        shutdown=date(2027, 1, 14),
        replacement="gpt-6-luna",
        logprobs=True,
    )
    assert Preflight.model_validate_json(found.model_dump_json()) == found
    [body] = provider.asked
    assert (body["max_tokens"], body["temperature"], body["logprobs"]) == (1, 0, True)


def test_a_model_that_is_not_listed_is_named_with_the_closest_that_are():
    for provider in (
        Provider("gpt-6-sol", "gpt-6-luna", "whisper"),
        Provider("gpt-6-sol", "gpt-6-luna", "whisper", retrieves=False),
    ):
        with pytest.raises(JudgeUnavailable) as refused:
            ask(provider, "gpt-6-sun", effort="none")
        said = str(refused.value)
        assert said.startswith("judge.test has no model gpt-6-sun; of the 3 it has, the closest")
        assert "gpt-6-sol" in said
        assert "whisper" not in said
        assert not provider.asked


def test_a_name_like_no_other_is_told_what_there_is():
    with pytest.raises(JudgeUnavailable, match=r"the closest are apple, pear$"):
        ask(Provider("pear", "apple"), "gpt-6-sol", effort="none")


def test_a_server_without_a_list_is_not_an_error():
    found = ask(Provider(retrieves=False, lists=False), "our/llama")
    assert found.exists is None
    assert (found.served, found.logprobs) == ("our/llama", True)
    assert found.days_left is found.warning is None


def test_an_empty_list_says_nothing():
    assert ask(Provider(retrieves=False), "our-llama").exists is None


def test_a_slash_in_a_name_is_looked_up_in_the_list():
    found = ask(Provider("our/llama", retrieves=False), "our/llama")
    assert found.exists is True


def test_a_model_that_was_shut_down_names_the_day_and_what_replaces_it():
    for provider in (
        Provider("gpt-6-luna"),
        Provider("gpt-6-luna", retrieves=False),
        Provider(retrieves=False, lists=False),
    ):
        provider.chat = (404, {"error": {"message": "The model `gpt-4` does not exist"}})
        with pytest.raises(JudgeUnavailable) as refused:
            ask(provider, "gpt-4")
        assert str(refused.value) == (
            "gpt-4 was shut down on 2026-10-23; its provider names gpt-6-luna instead"
        )


def test_the_servers_own_date_comes_first():
    gone = Provider("gpt-4.1", shutdown=TODAY)
    with pytest.raises(JudgeUnavailable, match=f"gpt-4.1 was shut down on {TODAY}; .*gpt-6-luna"):
        ask(gone, "gpt-4.1")
    assert not gone.asked
    later = ask(Provider("gpt-4.1", shutdown=TODAY + timedelta(days=400)), "gpt-4.1")
    assert (later.days_left, later.warning) == (400, None)
    assert ask(Provider("m", shutdown="soon"), "m").shutdown is None


def test_a_model_that_goes_soon_is_warned_about():
    soon = ask(Provider("m", shutdown=TODAY + timedelta(days=29)), "m")
    assert soon.warning == f"m is shut down on {TODAY + timedelta(days=29)}, in 29 days"
    assert ask(Provider("m", shutdown=TODAY + timedelta(days=30)), "m").warning is None
    replaced = ask(Provider("gpt-4o", shutdown=TODAY + timedelta(days=1)), "gpt-4o")
    assert replaced.warning.endswith("; its provider names gpt-6-luna instead")


def test_a_server_that_still_has_it_is_believed_with_a_warning():
    found = ask(Provider("gpt-4"), "gpt-4")
    assert found.shutdown == date(2026, 10, 23)
    assert "still has it" in found.warning


def test_shutdown_dates_of_the_users_own(tmp_path):
    own = tmp_path / "prices.toml"
    own.write_text(f"collected = {TODAY}\n[models.m]\nshutdown = {TODAY + timedelta(days=3)}\n")
    assert ask(Provider("m"), "m", override=own).days_left == 3


def test_the_served_model_must_be_the_pinned_one():
    provider = Provider("gpt-4.1", served="gpt-4.1-2025-04-14")
    assert ask(provider, "gpt-4.1", "gpt-4.1-2025-04-14").served == "gpt-4.1-2025-04-14"
    with pytest.raises(JudgeUnavailable) as refused:
        ask(provider, "gpt-4.1", "gpt-4.1-2024-01-01")
    said = str(refused.value)
    assert "gpt-4.1 is pinned to gpt-4.1-2024-01-01, but" in said
    assert "answered as gpt-4.1-2025-04-14" in said


def test_a_server_may_have_no_log_probabilities():
    silent = Provider("m")
    silent.logprobs = False
    assert ask(silent, "m").logprobs is False
    refusing = Provider("m")
    refusing.chat = [(400, {"error": {"message": "logprobs is not supported"}})]
    assert ask(refusing, "m").logprobs is False
    assert "logprobs" not in refusing.asked[-1]


def test_a_model_that_reasons_has_room_for_it_and_is_not_asked_for_log_probabilities():
    provider = Provider("gpt-6-sol")
    assert ask(provider, "gpt-6-sol").logprobs is False
    assert ask(provider, "gpt-6-sol", effort="none").logprobs is True
    reasoning, direct = provider.asked
    assert reasoning["max_completion_tokens"] > 100
    assert "logprobs" not in reasoning
    assert (direct["max_completion_tokens"], direct["logprobs"]) == (1, True)


def test_an_effort_that_the_family_does_not_have():
    with pytest.raises(ConfigError, match="takes no reasoning_effort"):
        ask(Provider("gpt-4.1"), "gpt-4.1", effort="none")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "judge.test refused to ask m: Error code: 400 - .*your key is <key>"),
        (401, "judge.test refused the key; check the environment variable"),
        (403, "the key may not ask m at judge.test"),
        (404, "judge.test has no model m, or no API at http://judge.test/v1/"),
        (402, "the account at judge.test has no money left .*your key is <key>.*add credit"),
        (429, "judge.test takes no more calls of m for now .* 429 - .*your key is <key>.*later"),
        (500, "judge.test fails when it is asked m .Error code: 500 - .*; try later"),
    ],
)
def test_a_refusal_is_one_line_without_the_key(status, says):
    provider = Provider("m")
    provider.chat = (status, {"error": {"message": f"no:\nyour key is {KEY}"}})
    with pytest.raises(JudgeUnavailable, match=says) as refused:
        ask(provider, "m")
    assert KEY not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_refused_key_is_found_out_at_the_first_question():
    with pytest.raises(JudgeUnavailable, match="refused the key"):
        ask(lambda request: httpx2.Response(401, json={"error": {"message": KEY}}), "m")


def test_a_server_that_nobody_reaches():
    def handle(request):
        raise httpx2.ConnectError("refused")

    with pytest.raises(JudgeUnavailable, match=r"no answer from judge\.test .* check the base URL"):
        ask(handle, "m")


def test_a_server_that_fails_now_and_then_is_asked_again():
    provider = Provider("m")
    provider.chat = [(500, None), (429, None), (200, "{garbage"), (200, {"choices": []})]
    assert ask(provider, "m").served == "m"
    assert len(provider.asked) == 5


@pytest.mark.parametrize("body", ["<html>", "null", "3", "{}", '{"choices": null, "model": "m"}'])
def test_something_else_behind_the_address(body):
    def handle(request):
        return httpx2.Response(200, text=body, headers={"content-type": "application/json"})

    with pytest.raises(JudgeUnavailable, match="does not answer as an OpenAI-compatible server"):
        ask(handle, "m")
    assert module.ATTEMPTS < 10


def test_a_page_for_people_behind_the_address():
    with pytest.raises(JudgeUnavailable, match="does not answer as an OpenAI-compatible server"):
        ask(lambda request: httpx2.Response(200, html="<html>hello</html>"), "m")
