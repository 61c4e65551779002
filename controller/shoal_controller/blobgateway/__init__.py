"""The blob gateway: a folder behind the part of the Azure Blob REST API that Batch users use.

`storage` keeps the bytes and knows no HTTP, `web` speaks the protocol and keeps nothing; the
modules beside them are pure rules that both share. Other rooms use what is exported here.
"""

from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.sas import sign_blob_sas, sign_container_sas
from shoal_controller.blobgateway.storage.store import BlobStore, pieces_of
from shoal_controller.blobgateway.web.app import create_app, create_runner, serve
from shoal_controller.blobgateway.web.call import StorageAccount

__all__ = [
    "BlobStore",
    "StorageAccount",
    "StorageError",
    "create_app",
    "create_runner",
    "pieces_of",
    "serve",
    "sign_blob_sas",
    "sign_container_sas",
]
