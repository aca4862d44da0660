"""How the networks are taught, from samples to export; and what makes the reference population."""
