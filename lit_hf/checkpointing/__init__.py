"""Checkpoints: read and verified, written atomically, what a resumed training needs.

Floor 1: it imports `distributed`, `files`, `functional` and `errors`.
"""
