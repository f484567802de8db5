"""AlpacaEval 2.0 (Dubois et al. 2024): win rate against a reference model, length-controlled.

    evaluation      the plug-in: answers, asks the judge, marks
    references      what is asked, with a reference model's outputs
    judging         the package's annotator, its seeded swap, the judge's verdicts in the row log
    stored          `harness score alpaca_eval`: the same figures from annotations.json files
    annotations     judgements in the published format, read from files
    figures         one model's judgements in, its metrics out
    controlled      which length-controlled fit there can be, and how it must be labelled
    length_control  the length-controlled win rate; `regression` fits it, `refits` bootstraps it
    covariates      the files that the official fit needs; `design` lays its rows out
    instructions    which of AlpacaEval's 805 an instruction is
    leaderboard     the public table
    export          a result's items, and the rows of AlpacaEval's own files made of them

The `alpaca_eval` package's configurations, prompts and table are read as files; it is never
imported and never written to. The tests hold every figure against its code.
"""
