"""Samples drawn: a table for a terminal, a grid of images, fonts for any script."""
