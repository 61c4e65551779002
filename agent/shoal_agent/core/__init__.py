"""Decisions of an agent and its spawner (pure): no sockets, files, processes, asyncio or clock."""
