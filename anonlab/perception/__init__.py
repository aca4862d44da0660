"""Stage 1: which pixels does a recogniser need to know this person, and the mask made of them."""
