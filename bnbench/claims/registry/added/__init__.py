"""The claims that were added when the others had been judged, ids with A, one file per family.

They are a family of their own in the adjustment of p-values (`judge.family_of`). Begin with
`practice`.
"""
