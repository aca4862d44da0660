"""The condition of stage 2: the virtual identity, and the reference population of generated people."""
