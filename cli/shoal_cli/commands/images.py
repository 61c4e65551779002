"""shoal images: what nodes can be made of."""

from __future__ import annotations

from shoal_cli.command import Session, api_command
from shoal_cli.options import filter_option, limit_option


@api_command(None, "images", doing="list images")
@filter_option
@limit_option
async def images(session: Session, filter_: str | None, limit: int | None) -> None:
    """List the images that nodes can have, for `shoal pool create --image`."""
    from shoal_cli.views import IMAGE

    query = {"$filter": filter_} if filter_ else {}
    await session.out.list(session.client.pages("/supportedimages", limit=limit, **query), IMAGE)
