"""The named systems, one file each."""

from velodrome.recipes.recipe import RECIPES, Recipe, find, recipe

__all__ = ["RECIPES", "Recipe", "find", "recipe"]
