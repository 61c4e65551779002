"""One account's blobs in a folder: a SQLite catalogue and files named by number."""
