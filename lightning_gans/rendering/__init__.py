"""Draw images, points and animations."""
