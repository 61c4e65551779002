"""Live connections to agents. Speaks the protocol outward and callbacks inward, nothing else."""
