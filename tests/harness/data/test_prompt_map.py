"""The map of what was trained on: whole, the same each time, alike prompts close together."""

from math import dist
from statistics import fmean

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.prompt_map import FEWEST, MOST, MOST_OF_A_SET, prompt_map

ANIMALS = [
    f"What sound does the {name} make in the {place}?"
    for name in "abcdefgh"
    for place in ("house", "garden", "river")
]
SUMS = [f"Add {a} and {b}, then double it." for a in range(6) for b in range(4)]


def places(found, name):
    return [(point.x, point.y) for point in found.points if point.set == name]


def spread(points, others):
    return fmean(dist(one, other) for one in points for other in others)


def test_alike_prompts_lie_close_together():
    found = prompt_map({"IFT": ANIMALS[::2], "AIFT(M1)": ANIMALS[1::2], "EFT": SUMS})
    assert found.sizes == {"IFT": 12, "AIFT(M1)": 12, "EFT": 24}
    animals, more, sums = (places(found, name) for name in found.sizes)
    assert spread(animals, more) < spread(animals, sums) / 2
    assert "t-SNE" in found.method and "neural embedding" in found.method
    assert found.points[0].text in ANIMALS
    assert prompt_map({"IFT": ANIMALS[::2], "AIFT(M1)": ANIMALS[1::2], "EFT": SUMS}) == found


def test_of_many_prompts_some_are_drawn_the_same_each_time():
    many = [f"Tell me about number {n} of the list." for n in range(MOST_OF_A_SET + 20)]
    found = prompt_map({"IFT": many}, seed=1)
    assert found.sizes == {"IFT": len(many)}
    assert len(found.points) == len({point.text for point in found.points}) == MOST_OF_A_SET
    texts = [point.text for point in found.points]
    assert texts == [point.text for point in prompt_map({"IFT": many}, seed=1).points]
    assert texts != [point.text for point in prompt_map({"IFT": many}, seed=2).points]
    five = prompt_map({str(k): many for k in range(5)})
    assert len(five.points) == MOST


def test_the_same_prompt_counts_once_a_set():
    found = prompt_map({"IFT": [*ANIMALS, *(f"  {text.upper()}" for text in ANIMALS)]})
    assert found.sizes == {"IFT": len(ANIMALS)}


def test_few_prompts_make_no_map():
    assert prompt_map({}) is None
    assert prompt_map({"IFT": [], "EFT": ["", "  "]}) is None
    assert prompt_map({"IFT": ANIMALS[: FEWEST - 1]}) is None
    assert prompt_map({"IFT": ANIMALS[:6], "EFT": ANIMALS[6:FEWEST]}).sizes == {"IFT": 6, "EFT": 4}


def test_prompts_of_the_same_words_make_no_map():
    assert prompt_map({"IFT": ["so " * n for n in range(1, 40)]}) is None


def test_only_the_beginning_of_a_prompt_is_kept():
    long = [f"{text}\n\n{'x' * 1_000_000}" for text in ANIMALS[:FEWEST]]
    found = prompt_map({"IFT": long})
    assert max(len(point.text) for point in found.points) == 120
    assert all("\n" not in point.text for point in found.points)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=14), st.lists(st.text("ab !", max_size=4)))
def test_any_text_is_placed_or_there_is_no_map(odd, alike):
    found = prompt_map({"odd": odd, "alike": alike})
    if found is not None:
        assert sum(found.sizes.values()) == len(found.points) >= FEWEST
        assert all(abs(point.x) < 1e6 and abs(point.y) < 1e6 for point in found.points)
