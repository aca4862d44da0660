"""What notebooks use: figures, exercises, and the record of their numbers."""
