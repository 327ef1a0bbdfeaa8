"""The `lit-hf` command: verbs, parser, configuration of a run, resume, messages.

The top floor: it may import every other folder, and nothing imports it.
"""
