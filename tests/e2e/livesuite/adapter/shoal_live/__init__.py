"""Where a live suite meets Shoal: accounts, what manages them, and which tests are to fail."""
