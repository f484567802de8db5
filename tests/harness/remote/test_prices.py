from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.remote import prices
from harness.remote.prices import Price

OWN = """
collected = 2026-12-24
[models."gpt-6-sol"]
price = { input = 3, output = 12 }
[models."gpt-4.1"]
price = { input = 1, output = 4 }
[models."our-judge"]
price = { input = 0, output = 0 }
[models.gpt-5]
shutdown = 2027-03-01
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(OWN)
    return path


@pytest.fixture(autouse=True)
def _no_file_of_the_users(monkeypatch):
    monkeypatch.delenv(prices.OVERRIDE, raising=False)


@pytest.mark.parametrize(
    ("model", "each_way"),
    [
        ("gpt-6-luna", (0.10, 0.50)),
        ("gpt-6-sol", (2, 10)),
        ("gpt-6.1-terra", (1, 5)),
        ("gpt-5.6-luna", (0.20, 1.20)),
        ("gpt-5.6-terra", (2, 12)),
        ("gpt-5.6-sol", (5, 30)),
    ],
)
def test_the_shipped_prices(model, each_way):
    price = prices.find(model)
    assert (price.input, price.output, price.batch) == (*each_way, 0.5)


def test_every_shipped_price_says_where_it_is_from():
    shipped = prices._table(None)
    assert all("verify" in listed.source for listed in shipped.models.values())


def test_dollars_by_hand():
    price = Price(input=2, output=10, cached=0.5, batch=0.5)
    assert price.dollars(766_000, 805) == pytest.approx(1.54005)
    assert price.dollars(1_000_000, 0, cached_tokens=400_000) == pytest.approx(1.2 + 0.2)
    assert price.dollars(766_000, 805, batch=True) == pytest.approx(0.770025)


def test_what_is_not_known_is_never_cheaper():
    price = Price(input=2, output=10)
    assert price.dollars(1000, 10, cached_tokens=900) == price.dollars(1000, 10)
    assert price.dollars(1000, 10, batch=True) == price.dollars(1000, 10)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_batch_or_a_cache_never_costs_more(tokens, cached, output):
    price = Price(input=2, output=10, cached=0.5, batch=0.5)
    full = price.dollars(tokens + cached, output)
    assert price.dollars(tokens + cached, output, cached) <= full
    assert price.dollars(tokens + cached, output, batch=True) == pytest.approx(full / 2)


def test_an_unlisted_model_has_no_price_rather_than_none_to_pay():
    assert prices.find("meta-llama/Llama-3.3-70B-Instruct") is None
    assert prices.find("gpt-6") is None
    assert prices.find("gpt-4") is None  # shut down: listed, but nobody sells it
    assert prices.retirement("gpt-6-sol") is None


def test_a_snapshot_has_its_aliass_price_unless_it_is_listed():
    assert prices.find("gpt-4.1-2025-04-14") == prices.find("gpt-4.1")
    assert prices.find("gpt-4.1-nano") is None
    assert prices.find("gpt-4.1-2025") is None
    assert prices.find("ft:gpt-4.1-2025-04-14:us::x") is None
    assert prices.retirement("gpt-4-turbo-2024-04-09").day == date(2026, 10, 23)


@pytest.mark.parametrize(
    ("model", "day", "replacement"),
    [
        ("gpt-4", date(2026, 10, 23), "gpt-6-luna"),
        ("gpt-4-0613", date(2026, 10, 23), "gpt-6-luna"),
        ("gpt-4-1106-preview", date(2026, 10, 23), "gpt-6-luna"),
        ("gpt-3.5-turbo", date(2026, 10, 23), "gpt-6-luna"),
        ("gpt-5", date(2026, 12, 11), None),
        ("o3", date(2026, 12, 11), None),
        ("gpt-4o", date(2027, 1, 14), "gpt-6-luna"),
        ("gpt-4.1-mini", date(2027, 1, 14), "gpt-6-luna"),
    ],
)
def test_when_models_are_shut_down(model, day, replacement):
    assert prices.retirement(model) == (day, replacement)


def test_a_file_of_the_users_own_lies_over_the_shipped_one(own):
    assert prices.dated() == date(2026, 11, 20)
    assert prices.dated(own) == date(2026, 12, 24)
    assert prices.find("gpt-6-sol", own) == Price(input=3, output=12)
    assert prices.find("our-judge", own).dollars(10**6, 10**6) == 0
    assert prices.find("gpt-6-luna", own) == prices.find("gpt-6-luna")
    # What the user's file says nothing about stays known of the same model.
    assert prices.find("gpt-4.1", own) == Price(input=1, output=4)
    assert prices.retirement("gpt-4.1", own) == prices.retirement("gpt-4.1")
    assert prices.retirement("gpt-5", own).day == date(2027, 3, 1)
    assert prices.find("gpt-5", own) == prices.find("gpt-5")


def test_the_environment_may_name_it_but_an_option_comes_first(own, tmp_path, monkeypatch):
    monkeypatch.setenv(prices.OVERRIDE, str(own))
    assert prices.find("gpt-6-sol").input == 3
    other = tmp_path / "other.toml"
    other.write_text('collected = 2027-01-01\n[models."gpt-6-sol"]\nprice={input=9,output=9}')
    assert prices.find("gpt-6-sol", other).input == 9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("collected = 2026-12-24\n[models.x]\nprice = {input = -1, output = 1}", "input"),
        ("collected = 2026-12-24\n[models.x]\nprice = {input = nan, output = 1}", "input"),
        ("collected = 2026-12-24\n[models.x]\nprice = {output = 1}", "'models.x.price.input' is"),
        ("collected = 2026-12-24\n[models.x]\nprise = 1", "models.x.prise"),
        ("collected = 2026-12-24\n[models]\nx = 1", "models.x"),
        ("[models.x]\nprice = {input = 1, output = 1}", "'collected' is missing"),
        ("collected = 2026-12-24", "'models' is missing"),
        ("collected = soon", "is not TOML"),
        ('collected = "\xff"'.encode("latin-1"), "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path, text, says):
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for use in (prices.dated, lambda path: prices.find("gpt-6-sol", path)):
        with pytest.raises(ConfigError) as refused:
            use(path)
        assert says in str(refused.value)
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)
