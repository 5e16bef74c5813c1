"""Numbers and words from the files of finished runs: tables, intervals, verdicts.

Reads results through `tracking`; draws nothing and never imports torch. Begin with `load` (runs of
an experiment as frames), then `stats` and `inference`.
"""
