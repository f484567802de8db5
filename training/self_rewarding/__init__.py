"""Self-rewarding language models (Yuan et al. 2024, arXiv 2401.10020).

A model answers new prompts, judges its own answers, and learns from its judgements. Read
`trainer.py` first; the other files are its steps, in this order:

    settings.py    every figure of the method
    seeds.py       human demonstrations (IFT) and judgements to learn from (EFT)
    tokens.py      both into the tokens that the model will see
    round.py       a round: the files below, one after the other
    prompts.py     new prompts, by few-shot self-instruct or from a file (propose.py, filters.py)
    judging.py     candidates, and the model's own verdicts on them
    pairs.py       best against worst; positives.py imitates the best instead, a control
    guards.py      stop when the judgements cannot be trusted
    selection.py   which checkpoint of a round to keep
"""
