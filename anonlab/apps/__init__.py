"""What people run on files: commands, folders, clips, albums, checks, the explorer, many machines."""
