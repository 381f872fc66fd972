"""Metrics of samples: functions from arrays to numbers."""
