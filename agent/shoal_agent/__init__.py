"""The agent: the process on a node that prepares, runs, watches and cleans up after tasks."""
