"""Stage 3: the generator draws the new face into the mask, in one pass or by optimisation."""
