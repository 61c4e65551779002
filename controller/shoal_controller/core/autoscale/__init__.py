"""Scaling pools by formulas: what was asked for. Evaluating them is not offered yet."""
