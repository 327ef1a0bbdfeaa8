"""From logits to predictions in plain types: classes, spans, generated answers."""
