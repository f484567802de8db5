"""Does a judge rank responses as people do? `evaluation` is the plug-in.

points     every response gets points by itself, as in self-rewarding
pairs      every pair of responses is compared in both orders
stored     the same figures from judgements that others have stored: `published`, `votes`,
           `ranked`, by format
"""
