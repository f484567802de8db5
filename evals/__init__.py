"""Evaluations: question sets, and how their answers are marked. A file or a package each.

    alpaca_eval       how often are its answers preferred to a reference model's?
    mt_bench          how good are its answers in conversations of two turns?
    nlp_benchmarks    does it still know what it knew?
    judge_agreement   does the model rank responses as people do?
    head_to_head      are its answers better than another model's?
    examiner          how many points does a judge give its answers?

Beside them is what they share: `answers` asks for what a row log does not hold yet,
`protocol` says when two results may be compared, `stored_files` reads rows from elsewhere.
"""
