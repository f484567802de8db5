"""Bundles for leaderboards: what each wants of a model, and what it would refuse.

    alpaca_eval   a pull request to AlpacaEval
    mt_bench      FastChat's folder
    hub           a model card and `.eval_results` for the Hugging Face hub
    lm_eval       results and samples as lm-eval writes them
    published     what a run's evaluations published, in the formats that these start from
    private       places on this machine, which no bundle may tell
    findings      rules out of what is wrong with files

The rules themselves are in `pull_request` and `leaderboard_row`, `fastchat_folder`, `hub_files` and
`results_files`; `card_figures` chooses what a model card shows.
"""
