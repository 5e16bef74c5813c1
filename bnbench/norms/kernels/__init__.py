"""Fast paths for the training forward and backward pass; `functional.py` holds the formulas."""
