"""The numbers we promise: each module has `run() -> list[Figure]`. `python -m tests.bench.run`."""
