"""Pure functions over tensors and strings; no lightning, no files.

Floor 0: it imports `errors` only.
"""
