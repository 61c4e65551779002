"""Hostile requests for every route, grown from the project's own tables and then spoiled."""
