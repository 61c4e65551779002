"""Where nodes come from. Each provider imports one vendor library at most, no other provider."""
