"""Operations on the account as a whole."""

import asyncio

from shoal_controller.blobgateway.errors import not_provided
from shoal_controller.blobgateway.web import paging, xml
from shoal_controller.blobgateway.web.call import Answer, Call
from shoal_controller.blobgateway.web.xml import read_leaves

XML_HEADERS = {"Content-Type": "application/xml"}
_OFF = ("", "false", "1.0", "1", "2")


async def list_containers(call: Call) -> Answer:
    wanted = paging.parse(call.query, {"metadata", "deleted", "system"})
    page = await call.store.list_containers(wanted.prefix, wanted.start, wanted.limit)
    body = await asyncio.to_thread(
        xml.container_list,
        paging.endpoint(call),
        wanted.echoed,
        page.items,
        paging.format_marker(page.next),
        with_metadata="metadata" in wanted.include,
    )
    return Answer(200, dict(XML_HEADERS), body)


async def get_account_information(_: Call) -> Answer:
    return Answer(
        200,
        {
            "x-ms-sku-name": "Standard_LRS",
            "x-ms-account-kind": "StorageV2",
            "x-ms-is-hns-enabled": "false",
        },
    )


async def get_service_properties(_: Call) -> Answer:
    return Answer(200, dict(XML_HEADERS), xml.service_properties())


async def set_service_properties(call: Call) -> Answer:
    """Accept properties that leave everything off, and refuse to turn anything on."""
    for path, text in read_leaves(await call.small_body(), "StorageServiceProperties"):
        if path.endswith(("/Days", "/DefaultServiceVersion")) or text.strip() in _OFF:
            continue
        feature = path.removeprefix("StorageServiceProperties/")
        raise not_provided("query", "comp=properties", f"Service properties ({feature})")
    return Answer(202)
