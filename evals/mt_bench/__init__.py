"""MT-Bench: two-turn questions, each answer rated from 1 to 10 or compared with another model's.

    questions.py   the questions, their temperatures and their reference answers
    answering.py   a model's two answers to each question
    prompts.py     what the judge is asked: FastChat's own prompts, or ours in the same structure
    reading.py     a rating or a preference out of what the judge wrote
    judging.py     one answer or two, judged as often as asked
    scoring.py     FastChat's averages and win rates, with intervals
    evaluation.py  all of it as a plug-in
    fastchat.py    results written as FastChat's files
    stored.py      FastChat's files read and scored, for `harness score`

Source: Zheng et al. 2023, *Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena*, and FastChat's
`llm_judge`, whose rules are followed to the letter where a file here says so.
"""
