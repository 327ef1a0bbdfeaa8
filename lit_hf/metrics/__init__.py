"""torchmetrics classes that the modules log.

Floor 1: it imports `functional` and `errors`; it does not know `data`.
"""
