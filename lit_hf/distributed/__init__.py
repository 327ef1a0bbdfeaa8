"""Processes of one run: launching, meeting, stopping together, sharding.

Floor 1: it imports `files`, `functional` and `errors`.
"""
