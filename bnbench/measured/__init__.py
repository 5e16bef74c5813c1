"""Numbers about batch normalisation without runs: exact claims and small problems.

Uses the layers, trains no arm. Begin with `exact/`; `files` writes what is measured as CSV.
"""
