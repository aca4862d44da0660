"""Attackers who know the method, on the same people as the evaluation.

`sightings` draws what they can get hold of besides the evaluation's own pictures, `pairs` what they
anonymize themselves to learn from, `learned` what they learn; `attacks` turns each into distances
from probes to a gallery, and `table` into one line each, with the worst on top.
"""
