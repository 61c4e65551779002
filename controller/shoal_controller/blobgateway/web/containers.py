"""Operations on one container."""

import asyncio

from shoal_controller.blobgateway.conditions import format_etag, format_http_date, parse_conditions
from shoal_controller.blobgateway.errors import not_provided
from shoal_controller.blobgateway.records import Container
from shoal_controller.blobgateway.web import headers, paging, xml
from shoal_controller.blobgateway.web.call import Answer, Call
from shoal_controller.blobgateway.web.services import XML_HEADERS

# Nothing here has snapshots, versions, tags or soft deletion, so asking for them adds nothing.
INCLUDABLE = {
    "metadata", "copy", "snapshots", "versions", "deleted", "deletedwithversions", "tags",
    "immutabilitypolicy", "legalhold", "permissions",
}  # fmt: skip


async def create(call: Call) -> Answer:
    container = await call.store.create_container(call.container, headers.metadata(call))
    return Answer(201, _changed(container))


async def get_properties(call: Call) -> Answer:
    return Answer(200, headers.of_container(await call.store.get_container(call.container)))


async def set_metadata(call: Call) -> Answer:
    container = await call.store.set_container_metadata(
        call.container, headers.metadata(call), parse_conditions(call.headers)
    )
    return Answer(200, _changed(container))


async def get_acl(call: Call) -> Answer:
    container = await call.store.get_container(call.container)
    return Answer(200, _changed(container) | XML_HEADERS, xml.signed_identifiers())


async def set_acl(call: Call) -> Answer:
    """Accept "private, no stored policies": all there is; a public one was refused on the way."""
    if call.headers.get("content-length", "0") != "0":
        body = await call.small_body()
        for path, text in xml.read_leaves(body, "SignedIdentifiers"):
            if path != "SignedIdentifiers" or text.strip():
                raise not_provided("query", "comp=acl", "Stored access policies")
    container = await call.store.get_container(call.container)
    parse_conditions(call.headers).check_write(container)
    return Answer(200, _changed(container))


async def delete(call: Call) -> Answer:
    await call.store.delete_container(call.container, parse_conditions(call.headers))
    return Answer(202)


async def list_blobs(call: Call) -> Answer:
    wanted = paging.parse(call.query, INCLUDABLE)
    if call.query.get("showonly"):
        raise not_provided("query", "showonly", "Lists limited to a kind of entry")
    page = await call.store.list_blobs(
        call.container, wanted.prefix, wanted.delimiter, wanted.start, wanted.limit
    )
    body = await asyncio.to_thread(
        xml.blob_list,
        paging.endpoint(call),
        call.container,
        wanted.echoed,
        page.items,
        paging.format_marker(page.next),
        with_metadata="metadata" in wanted.include,
        with_copy="copy" in wanted.include,
    )
    return Answer(200, dict(XML_HEADERS), body)


def _changed(container: Container) -> dict[str, str]:
    return {
        "ETag": format_etag(container.etag),
        "Last-Modified": format_http_date(container.modified),
    }
