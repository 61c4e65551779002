"""The command line: an ordinary HTTP caller of the API."""
