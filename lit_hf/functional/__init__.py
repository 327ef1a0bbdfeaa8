"""Pure functions over tensors and strings; no lightning, no files."""
