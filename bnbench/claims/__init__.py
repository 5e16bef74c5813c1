"""Claims about batch normalisation: their sentences, their tests, and their verdicts.

`registry` declares them; `study` and `statistics` turn runs into numbers per seed, `judge` into
verdicts, `files` into CSV, `pages` into a page. Nothing here imports torch or trains anything.
Begin with `records`, then one family of the registry.
"""
