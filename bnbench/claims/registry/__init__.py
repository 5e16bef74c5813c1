"""The claims, one file per family, and what differs on larger data sets (`fashion`, `cifar`).

Begin with one family, such as `batches`; `table` lists all, in the order of the scoreboard;
`parts` has what many declare. Those that came later are in `added`.
"""
