"""What makes processors faster; each a callback that can be left out.

Floor 4: it imports `modules` and the floors below.
"""
