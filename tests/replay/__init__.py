"""Recorded interactions with the public service, replayed: equal requests in equal situations.

Each is set up in an account of its own (`situations`), sent as it was recorded (`run`), and what
comes back is compared with what the service answered (`compare`). What differs and why, where the
reason lies outside, stands in `reasons`. `make replay` prints the tally.
"""
