import pytest

from reports.charts.ink import DARK, LIGHT, inks, stylesheet

TEXT = {"label", "muted", "better", "worse"}
FAINT = {"grid", "paper", "on"}


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("colours", "ground"), [(LIGHT, "#ffffff"), (DARK, "#111111")])
def test_every_colour_stands_out_from_its_ground(colours, ground):
    for tone, colour in colours.items():
        if tone not in FAINT:
            assert contrast(colour, ground) >= (4.5 if tone in TEXT else 3), tone


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_text_on_a_bar_can_be_read(colours):
    for tone in ("better", "neutral", "worse"):
        assert contrast(colours["on"], colours[tone]) >= 4.5, tone


def test_both_grounds_have_the_same_classes_and_the_page_names_them_all():
    assert LIGHT.keys() == DARK.keys()
    assert all(f".chart .{tone} " in stylesheet() for tone in DARK)


def test_forty_models_look_different_and_keep_their_looks():
    names = [f"M{k}" for k in range(40)]
    found = inks(names)
    assert len(set(found.values())) == 40
    assert inks(names[:3]) == {name: found[name] for name in names[:3]}
