"""Secrets of what the tests make."""

BATCH_TEST_PASSWORD = "a-Passw0rd-for-tests"
