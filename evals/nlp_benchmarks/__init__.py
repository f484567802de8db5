"""Nine NLP benchmarks by lm-eval's own task definitions, on any engine. `evaluation` plugs in.

settings    which benchmarks, on which data, with how many examples
benchmarks  the nine: lm-eval's names, data files, metrics, presets of examples
data        the rows of a benchmark, checked
running     one benchmark through lm-eval
tasks       a benchmark as lm-eval's tasks, on rows in memory
adapter     a loaded model as the language model that lm-eval asks
quiet       lm-eval without its noise
items       what came of each item
results     figures, and files in lm-eval's format

`tasks`, `adapter`, `quiet` and `running` import lm-eval, which takes a second: `evaluation` loads
`running` by name when something is really asked.
"""
