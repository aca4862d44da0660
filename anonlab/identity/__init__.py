"""The condition of stage 2: who to be, chosen from a reference population of generated people."""
