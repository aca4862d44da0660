"""Clips: faces are followed over time, and every person gets one new face for the whole clip."""
