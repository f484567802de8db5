import pytest

from harness.errors import JudgeUnavailable
from harness.remote import endpoint


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "http://localhost:8000/v1",
        "http://[::1]:8000/v1",
        "http://10.1.2.3/v1",
        "http://192.168.0.7:30000/v1",
        "http://gpu-box:8000/v1",
        "http://vllm.cluster.local/v1",
    ],
)
def test_a_server_of_ones_own_needs_no_key(url):
    assert endpoint.find(url, "OPENAI_API_KEY").key


@pytest.mark.parametrize("url", [None, "https://api.example.com/v1", "http://8.8.8.8/v1"])
def test_any_other_server_does_and_the_variable_is_named(url, monkeypatch):
    with pytest.raises(JudgeUnavailable, match="MY_JUDGE_KEY is not set"):
        endpoint.find(url, "MY_JUDGE_KEY")
    monkeypatch.setenv("MY_JUDGE_KEY", " secret-1\n")
    assert endpoint.find(url, "MY_JUDGE_KEY").key == "secret-1"


@pytest.mark.parametrize("value", ["two\nlines-x", "schlüssel-x", "a b-x", "tab\t-x"])
def test_a_value_that_cannot_be_a_key_is_refused_unseen(value, monkeypatch):
    monkeypatch.setenv("MY_JUDGE_KEY", value)
    for url in ("http://127.0.0.1:8000/v1", "https://api.example.com/v1"):
        with pytest.raises(JudgeUnavailable, match="MY_JUDGE_KEY cannot be a key") as refused:
            endpoint.find(url, "MY_JUDGE_KEY")
        assert "-x" not in str(refused.value)
        assert "\n" not in str(refused.value)


def test_where_to_call(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert endpoint.find(None, "OPENAI_API_KEY").host == "api.openai.com"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://Proxy.Example.com:8080/v1")
    assert endpoint.find(None, "OPENAI_API_KEY").host == "proxy.example.com:8080"
    for url, host in (
        ("http://other.example.com/v1", "other.example.com"),
        ("http://other.example.com/v1/", "other.example.com"),
        ("https://gateway.example.com/team/azure/v1", "gateway.example.com/team/azure"),
    ):
        assert endpoint.find(url, "OPENAI_API_KEY").host == host


def test_credentials_in_the_environments_url_are_refused(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:pass-word@example.com/v1")
    with pytest.raises(JudgeUnavailable, match="holds credentials") as refused:
        endpoint.find(None, "OPENAI_API_KEY")
    assert "pass-word" not in str(refused.value)


def test_the_key_is_scrubbed_and_never_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    found = endpoint.find(None, "OPENAI_API_KEY")
    assert "very-secret" not in repr(found)
    assert found.scrub("no very-secret here, nor sk-proj-ab****9Z.") == "no <key> here, nor <key>"
    assert found.scrub("a desk-lamp, risk-averse") == "a desk-lamp, risk-averse"


def test_where_no_key_is_sent_nothing_is_scrubbed():
    found = endpoint.find("http://127.0.0.1/v1", "OPENAI_API_KEY")
    assert found.scrub("none of them") == "none of them"
