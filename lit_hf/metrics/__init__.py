"""torchmetrics classes that the modules log."""
