"""Rows to batches; one class a task over a base and two middle classes.

Floor 2: it imports the floors below, never `modules` or `metrics`.
"""
