"""Hugging Face files in and out: tokenizers, image processors, configs, weights.

Floor 1: it imports `files`, `functional` and `errors`.
"""
