"""Nouns and decisions: records, state machines and rules. Pure: no I/O, clock or randomness."""
