"""HTTP in, HTTP out: the Batch data-plane API. Handlers parse, call one operation, render."""
