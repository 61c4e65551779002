"""The Blob REST API over aiohttp: parse, authenticate, call the store, render."""
