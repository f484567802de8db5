"""Are the model's answers better than another model's? `evaluation` is the plug-in.

games      two answers to a prompt, shown to the judge in both orders
opponents  answers that were stored elsewhere, as an opponent's
matches    what came of it, and what that makes on the whole
stored     the same figures from judgements that others have stored
"""
