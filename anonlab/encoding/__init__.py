"""Stage 2: from photo, mask and virtual identity to the generator's codes, and its linear start."""
