"""Which rows make a batch, in what order, in which process."""
