"""Data sets as whole tensors, the batches drawn from them, and shifts of their test images.

Nothing is imported here: `files` answers without torch, which the other modules need. Begin with
`datasets`.
"""
