"""Between JSON documents and records, the newest api-version only. camelCase ends here."""
