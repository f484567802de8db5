"""Several runs beside each other, and beside the paper.

settings.py    which runs are seeds of one setting, and in what settings differ
levels.py      every main figure of every setting: mean and spread over its seeds
steps.py       from one model to the next, seed by seed
contrasts.py   a setting against the first one, model by model, item by item
ablations.py   what the paper says of leaving a part of the method out
page.py        all of it as sections;  rows.py  as the rows of compare.json
"""
