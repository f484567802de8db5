"""Names as the field writes them.

alpaca_eval                          AlpacaEval
length_controlled_win_rate           LC win rate
external/pairwise_accuracy           external: pair accuracy, ties left out
"""

NAMES = {
    "alpaca_eval": "AlpacaEval",
    "examiner": "Examiner",
    "head_to_head": "Head to head",
    "judge_agreement": "Judge agreement",
    "mt_bench": "MT-Bench",
    "nlp_benchmarks": "NLP benchmarks",
    "arc_challenge": "ARC-Challenge",
    "arc_easy": "ARC-Easy",
    "gsm8k": "GSM8K",
    "hellaswag": "HellaSwag",
    "mmlu": "MMLU",
    "nq": "NQ",
    "obqa": "OBQA",
    "piqa": "PIQA",
    "siqa": "SIQA",
    "stem": "STEM",
    "average_length": "average length (characters)",
    "kendall_tau": "Kendall's tau",
    "length_controlled_win_rate": "LC win rate",
    "length_controlled_win_rate_predicted": "LC win rate, predicted",
    "length_tokens": "length (tokens)",
    "pairwise_accuracy": "pair accuracy, ties left out",
    "pairwise_accuracy_half": "pair accuracy, a tie counts half",
    "pairwise_accuracy_ties_correct": "pair accuracy, ties right",
    "pairwise_accuracy_ties_wrong": "pair accuracy, ties wrong",
    "score_stem": "score STEM",
    "spearman": "Spearman",
}
"""Of pair accuracy all four tie policies by their whole names: they differ by many points."""


def label(name: str) -> str:
    """Write the name of an evaluation or a metric for reading."""
    above, _, own = name.rpartition("/")
    words = NAMES.get(own, own.replace("_", " "))
    return f"{label(above)}: {words}" if above else words
