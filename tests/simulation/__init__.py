"""The whole house in one process, on virtual time, from one seed: see `world.py`."""
