"""W&B workspaces as code: one per experiment and data set, made of panels over its runs' keys.

Reads results through `analysis` and `tracking`. Begin with `specification` (which panels), then
`build`; only `workspace` imports wandb_workspaces.
"""
