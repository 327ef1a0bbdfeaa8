"""Batches to logits, loss, scores and predictions; one class a task.

Floor 3: it imports the floors below but `data`; module and data meet in `batches`.
"""
