"""Recipes: configuration files that `fit --config NAME` finds by name.

The first line of a recipe describes it, the second line is its command.
"""
