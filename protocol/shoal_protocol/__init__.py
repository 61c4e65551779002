"""What two processes must agree on; imports nothing else of ours."""
