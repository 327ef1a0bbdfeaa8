"""What happens beside training: samples, exports, files of a run."""
