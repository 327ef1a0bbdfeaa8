"""Rows checked: cells, texts, questions, images, labels; what is wrong is reported at once."""
