"""What happens beside training: samples, exports, files of a run.

Floor 4: it imports `modules`, `data` and the floors below.
"""
