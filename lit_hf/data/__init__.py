"""Rows to batches; knows no module."""
