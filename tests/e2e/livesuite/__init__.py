"""azure-batch's own live tests, as its source packages ship them, run against `shoal dev`.

adapter/ is what the tests import beside the client, and the table of those that cannot pass. It
runs in an environment with the client and pytest alone; of ours it takes shoal_protocol, to sign.
"""
