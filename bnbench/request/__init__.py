"""What somebody asks for, checked before anything trains.

From overrides to jobs (`grid`) and configurations (`compose`), learning rates that are to be found
(`tuning`), whether this machine can do it (`preflight`, `clusters`), whether its figures can be
drawn (`declared`), and the one line that says what is wrong and where (`refusal`, `provenance`).
Never imports torch.
Begin with `bnbench.cli`, the door of this room.
"""
