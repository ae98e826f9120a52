"""What the players minimize: pure functions, tensors in, scalars out."""
