"""The table of operations: what a request is, and which letters of a SAS let it through."""

from collections.abc import Mapping
from typing import Final

from shoal_controller.blobgateway.errors import StorageError, bad_query, not_provided
from shoal_controller.blobgateway.web import batch, blobs, containers, services, uploads
from shoal_controller.blobgateway.web.call import Level, Route, Target

ANY: Final = "racwdxyltfmei"


ROUTES: Final = (
    Route("service", "GET", "", "list", services.list_containers, "", "l", "s"),
    Route("service", "GET", "service", "properties", services.get_service_properties, "", "r", "s"),
    Route("service", "PUT", "service", "properties", services.set_service_properties, "", "w", "s"),
    Route("service", "POST", "", "batch", batch.run, "", ANY, "sco"),
    Route("service", "GET", "account", "properties", services.get_account_information,
          "", ANY, "s"),
    Route("container", "PUT", "container", "", containers.create, "", "cw", "c"),
    Route("container", "GET", "container", "", containers.get_properties, "", "r", "c"),
    Route("container", "DELETE", "container", "", containers.delete, "", "d", "c"),
    Route("container", "GET", "container", "metadata", containers.get_properties, "", "r", "c"),
    Route("container", "PUT", "container", "metadata", containers.set_metadata, "", "w", "c"),
    Route("container", "GET", "container", "acl", containers.get_acl, "", "", "c"),
    Route("container", "PUT", "container", "acl", containers.set_acl, "", "", "c"),
    Route("container", "GET", "container", "list", containers.list_blobs, "l", "l", "c"),
    Route("container", "POST", "container", "batch", batch.run, ANY, ANY, "sco"),
    Route("container", "GET", "account", "properties", services.get_account_information,
          ANY, ANY, "sco"),
    Route("blob", "PUT", "", "", uploads.put, "cw", "cw", "o"),
    Route("blob", "PUT", "", "block", uploads.put_block, "cw", "cw", "o"),
    Route("blob", "PUT", "", "blocklist", uploads.put_block_list, "cw", "cw", "o"),
    Route("blob", "GET", "", "blocklist", blobs.get_block_list, "r", "r", "o"),
    Route("blob", "GET", "", "", blobs.get, "r", "r", "o"),
    Route("blob", "GET", "", "metadata", blobs.get_metadata, "r", "r", "o"),
    Route("blob", "PUT", "", "metadata", blobs.set_metadata, "w", "w", "o"),
    Route("blob", "PUT", "", "properties", blobs.set_properties, "w", "w", "o"),
    Route("blob", "PUT", "", "copy", blobs.abort_copy, "cw", "cw", "o"),
    Route("blob", "DELETE", "", "", blobs.delete, "d", "d", "o"),
    Route("blob", "GET", "account", "properties", services.get_account_information,
          ANY, ANY, "sco"),
)  # fmt: skip

NOT_PROVIDED: Final[Mapping[str, str]] = {
    "lease": "Leases",
    "snapshot": "Snapshots",
    "tags": "Blob tags",
    "blobs": "Blob tags",
    "tier": "Changes of the access tier",
    "page": "Page blobs",
    "pagelist": "Page blobs",
    "incrementalcopy": "Page blobs",
    "appendblock": "Append blobs",
    "seal": "Append blobs",
    "undelete": "Soft-deleted blobs and containers",
    "expiry": "Blobs that expire",
    "immutabilitypolicies": "Immutability policies",
    "legalhold": "Legal holds",
    "query": "Queries inside blobs",
    "userdelegationkey": "User delegation keys",
    "stats": "Replication statistics",
    "rename": "Renames of containers",
}
_NOT_PROVIDED_PARAMETERS: Final = (
    ("snapshot", "Snapshots"),
    ("versionid", "Blob versions"),
    ("deletetype", "Soft-deleted blobs"),
)
_TABLE: Final = {(row.level, row.method, row.restype, row.comp): row for row in ROUTES}


def find_route(method: str, target: Target, query: Mapping[str, str]) -> Route:
    """The row for a request; raises UnsupportedHttpVerb or says which parameter is wrong."""
    level: Level = "service"
    if target.blob is not None:
        level = "blob"
    elif target.container is not None:
        level = "container"
    for name, what in _NOT_PROVIDED_PARAMETERS:
        if name in query:
            raise not_provided("query", name, what)
    comp, restype = query.get("comp", "").lower(), query.get("restype", "").lower()
    if comp in NOT_PROVIDED:
        raise not_provided("query", f"comp={comp}", NOT_PROVIDED[comp])
    # HEAD is GET without the body.
    key = (level, "GET" if method == "HEAD" else method, restype, comp)
    found = _TABLE.get(key)
    if found is not None:
        return found
    if any((row.level, row.restype, row.comp) == (level, restype, comp) for row in ROUTES):
        raise StorageError(
            "UnsupportedHttpVerb", f"The resource doesn't support specified Http Verb: {method}."
        )
    if comp:
        raise bad_query("comp", comp[:40], f"not an operation on a {level}")
    if restype:
        raise bad_query("restype", restype[:40], f"not an operation on a {level}")
    raise StorageError(
        "InvalidUri", "The requested URI does not represent any resource on the server."
    )
