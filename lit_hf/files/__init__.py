"""Files: written atomically, named in errors, found where a run began.

Floor 0: it imports `functional` and `errors` only.
"""
