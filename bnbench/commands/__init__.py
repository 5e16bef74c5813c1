"""What can be asked of bnbench in a terminal: a module for each command, to parse, call and print.

`scripts/` has an entry point for each. Begin with `claims`; `arguments` reads what several take,
and `wandb/` has those about W&B.
"""
