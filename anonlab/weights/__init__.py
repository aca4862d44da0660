"""Pretrained files: the table of all of them, and where each one is, whole or in need of repair."""
