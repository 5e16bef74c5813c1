"""W&B workspaces as code: one per experiment and data set, made of panels over its runs' keys."""
