"""Photos and folders of photos: which ones, where results go, and the record."""
