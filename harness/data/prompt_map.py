r"""Where the prompts lie that a model was trained on, alike ones close together.

    {"IFT": ("Name a bird.", ...), "EFT": (...), "AIFT(M1)": ("Name a fish.", ...)}
    ->  PromptMap  points (IFT, 1.8, -20.4, "Name a bird."), (AIFT(M1), 2.1, -19.9, "Name a fish.")

Yuan et al. 2024 (appendix A.1, Fig. 6) see on such a map that the model's own prompts resemble the
human ones. Likeness here is of wording, which needs no other model. Only neighbourhoods mean
something on such a map: neither axes nor distances between far groups do.
"""

from collections.abc import Iterable, Mapping
from random import Random

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.manifold import TSNE
from sklearn.pipeline import make_union
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from harness.data.overlap import key
from harness.records import PromptMap, PromptPoint

MOST_OF_A_SET, MOST = 250, 1000
"""Points of a set, and of all sets together."""
FEWEST = 10
"""Different wordings that make a map."""
METHOD = (
    "t-SNE of TF-IDF vectors of words and of sequences of 3 to 5 characters, reduced to 50 "
    "dimensions by SVD; where judging was trained, of the instruction that was judged, without the "
    "judge's prompt around it; the paper used t-SNE of a neural embedding"
)
_COMPARED = 2000
"""Characters of a prompt that likeness depends on."""
_SHOWN = 120
"""Characters of a prompt that the map keeps."""

Floats = NDArray[np.float64]


def prompt_map(sets: Mapping[str, Iterable[str]], seed: int = 0) -> PromptMap | None:
    """Place the prompts of several sets on one map.

    Args:
        sets: By name, prompts; those equal up to letter case and white space count once.
        seed: Which prompts are drawn of a set that has too many.

    Returns:
        The map, the same each time; None where there are fewer than `FEWEST` wordings.
    """
    different = {name: _different(prompts) for name, prompts in sets.items()}
    most = min(MOST_OF_A_SET, MOST // max(len(different), 1))
    drawn = [
        (name, prompt)
        for name, prompts in different.items()
        for prompt in Random(f"{seed} {name}").sample(prompts, len(prompts))[:most]
    ]
    with threadpool_limits(1):  # sums over threads would come in another order each time
        places = _places([prompt for _, prompt in drawn])
    if places is None:
        return None
    return PromptMap(
        method=METHOD,
        sizes={name: len(prompts) for name, prompts in different.items()},
        points=tuple(
            PromptPoint(set=name, x=round(x, 2), y=round(y, 2), text=_beginning(prompt))
            for (name, prompt), (x, y) in zip(drawn, places.tolist(), strict=True)
        ),
    )


def _different(prompts: Iterable[str]) -> list[str]:
    first: dict[str, str] = {}
    for prompt in prompts:
        first.setdefault(key(prompt), prompt)
    return [prompt for same, prompt in first.items() if same]


def _beginning(prompt: str) -> str:
    return " ".join(prompt[:_COMPARED].split())[:_SHOWN]


def _places(texts: list[str]) -> Floats | None:
    """Find a place for every text, of shape (texts, 2); None where too few differ."""
    if len(texts) < FEWEST:
        return None
    union = make_union(
        # Any sign is a word, so that there are words whatever the script.
        TfidfVectorizer(token_pattern=r"\w+|[^\w\s]+", max_features=20_000, sublinear_tf=True),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), max_features=20_000, sublinear_tf=True
        ),
    )
    vectors = union.fit_transform([text[:_COMPARED] for text in texts])
    dimensions = min(50, len(texts) - 1, vectors.shape[1] - 1)
    if dimensions < 2:
        return None
    reduced = normalize(TruncatedSVD(dimensions, random_state=0).fit_transform(vectors))
    if len(np.unique(reduced.round(6), axis=0)) < FEWEST:
        return None
    nearest = min(30, (len(texts) - 1) / 3)
    # 500 steps: the map of 1,000 points takes half as long as by the usual 1,000, and is as good.
    tsne = TSNE(perplexity=nearest, max_iter=500, init="pca", random_state=0)
    places: Floats = tsne.fit_transform(reduced)
    return places
