"""A chain of segments in, gradients out: forward piece by piece, backward from the last."""
