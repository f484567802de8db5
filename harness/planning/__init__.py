"""What a run will take, before anything is spent: `harness plan REQUEST`.

    shapes.py      how large a model is, from its config.json alone
    hardware.py    what a GPU, or this CPU, can do at most
    speed.py       seconds of a part: work over ceilings, by stated efficiencies
    memory.py      bytes on one GPU, of an engine and of a training
    disk.py        bytes that stay in the run's folder
    tokens.py      counts tokens without torch
    rehearsal.py   the whole run with stand-ins: its parts, rows and tokens
    evidence.py    what an earlier run, or a pilot, measured
    pilot.py       asks the real engine for a share of the rows, and trains a few steps
    plan.py        all of it, put together
    show.py        the tables

Only `pilot.py` loads a model, and only when it is asked for. Figures that are nobody's measurement
say "ours"; what cannot be known is None, and `unknown` to a reader.
"""
