"""Evaluations: question sets, and how their answers are marked. One file each.

    judge_agreement   does the model rank responses as people do?
    head_to_head      are its answers better than another model's?
    examiner          how many points does a judge give its answers?

Beside them is what they share: `answers` and `verdicts` ask for what a row log does not hold yet,
`protocol` says when two results may be compared.
"""
