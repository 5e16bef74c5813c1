"""How a net is trained and how it is evaluated; which net on which data, `bnbench.train` decides.

Knows norms, whose statistics an evaluation replaces, and no file. Begin with `loop`, which is the
training loop and nothing else.
"""
