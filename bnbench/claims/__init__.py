"""Claims about batch normalisation: what is claimed, what would refute it, and what came of it.

One file per family declares them (`table.CLAIMS`); `study` and `statistics` turn runs into numbers
per seed, `judge` into verdicts, `files` into CSV. Nothing here imports torch or trains anything.
"""
