"""What goes on while arms are trained: processes, what is told meanwhile, what to type next.

Begin with `launch`, which runs until nothing is missing; `bnbench.sweep` is the door of this room.
"""
