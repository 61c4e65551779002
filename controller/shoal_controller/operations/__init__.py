"""Every change of stored state, whoever asked: a caller, a loop or an agent."""
