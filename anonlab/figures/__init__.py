"""Plots used by notebooks and README."""
