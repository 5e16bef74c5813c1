"""Commands about W&B: upload its runs, make them from CSV, build its workspaces.

Begin with `sync`.
"""
