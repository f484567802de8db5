"""Drawings of a run, as SVG: values in, text out; nothing here knows a page.

    svg, scales, ink, estimates                           what a drawing is made of
    panels, rows, stacks, histograms, curves, points      forms: values in, a `blocks.Chart` out
    measures                                              a record's metrics as the marks of a form
    progress, forest, games, alpaca_eval, mt_bench,       which values of a record a drawing shows
    breakdown, knowledge, judging, lengths, rounds,
    training, prompt_map, overlap
    gallery                                               all of them, in reading order

A drawing has no script, no style, no id and no address outside it. Its colours are the `color` of
elements with a class, which a page's stylesheet may override (`ink.stylesheet`); every mark has a
shape or a word beside its colour. The same values give the same bytes.
"""
