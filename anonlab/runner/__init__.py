"""Run the notebooks by papermill and hold their numbers to the accepted ones."""
