"""Texts to token ids: pairs, windows, prompts, templates."""
