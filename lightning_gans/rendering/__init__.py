"""Rendering of images, points and animations for files and loggers."""

from lightning_gans.rendering.images import RGBImage, grid, save_animation, save_image, to_uint8
from lightning_gans.rendering.points import ScatterPlot, scatter

__all__ = ["RGBImage", "ScatterPlot", "grid", "save_animation", "save_image", "scatter", "to_uint8"]
