"""The embedded micro-world: a small world of facts with an exact examiner.

It is the offline default of `harness run`. What its rooms hold, each built on those before it:

    facts      what is true                  "the dog barks"
    question   what a question consists of   topic "dog", value "barks"
    families   every kind of question        "What sound does the {subject} make?"
    items      drawn, or read from a prompt  "What sound does the dog make?"
    examiner   marks for any answer          "It moos."  ->  attempt and clear, 2 of 5
    answers    answers of every quality, and the words of a verdict
    datasets   the rows that training and evaluations are fed with
    benchmarks the published evaluations' rows          AlpacaEval, MT-Bench, nine NLP benchmarks
    judging    what the examiner writes to a judge prompt  (engine: asked like a model)
    corpus     the text that M0 is pretrained on
    tokenizer  1,664 tokens and the chat template       (imports transformers)
    pretrain   the recipe of the weights in m0/         (imports torch)
"""
