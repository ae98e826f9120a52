"""Recipes: each trains as its first line says; `fit --config NAME` finds them by name."""
