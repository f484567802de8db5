"""Numbers with what they are worth: intervals, and how well a judge agrees with people.

Pure functions of their arguments: the same values and seed give the same numbers. What cannot be
computed, because nothing was there to compute it from, is None: never 0, never NaN.
"""
