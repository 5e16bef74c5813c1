"""How long things take: the training loop, the layer, the arms of a request.

Begin with `loop`, which has the paired, interleaved timing that the others use.
"""
