"""The classic render farm: tiles of one picture as tasks, stitched together by the client."""
