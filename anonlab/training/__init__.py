"""How the networks are taught, from samples to export."""
