"""What the players minimise: pure functions, tensors in, scalars out."""
