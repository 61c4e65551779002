"""Programs that a user of Azure Batch could have written: nothing here imports Shoal.

Run them from the root of the repository: `python -m examples.tutorial` and `examples.render`.
They work against the public service as well, given its endpoint and keys.
"""
