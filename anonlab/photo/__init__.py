"""Photos: reading and writing files, finding faces, aligning them and pasting them back."""
