"""Batches to logits, loss, scores and predictions."""
