"""What a Predictor is given, put in batches as training rows are."""
