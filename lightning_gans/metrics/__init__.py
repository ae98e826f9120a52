"""Scores of generated samples, one metric per file."""
