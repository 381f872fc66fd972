"""Measures of samples: arrays in, numbers out."""
