"""The micro-world's own questions in the published schemas, so that the same code evaluates both.

    alpaca_eval()     instructions with a reference model's outputs
    mt_bench()        two-turn questions, reference answers and judge prompts, as FastChat has them
    nlp("arc_easy")   the splits of one of nine benchmarks, as its Hugging Face data set has them

    >>> nlp("nq")["validation"][0]
    {'question': 'What does a scale measure',
     'answer': ['weight', 'The scale measures weight', 'It measures weight']}

Every item that is evaluated is about a held-out fact, so no training has seen it; rows to show as
examples are about facts that are not held out. The rows are the same on every machine.
"""

from harness.microworld.benchmarks.alpaca import alpaca_eval
from harness.microworld.benchmarks.conversations import MTBench, mt_bench
from harness.microworld.benchmarks.nlp_tasks import NLP, nlp

__all__ = ["NLP", "MTBench", "alpaca_eval", "mt_bench", "nlp"]
