"""Handlers of certificates."""

from __future__ import annotations

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.lists import listed, read_query, selected
from shoal_controller.api.wire import certificate as wire
from shoal_controller.core.certificate import CertificateKey
from shoal_controller.operations import certificates

CERTIFICATES_PER_PAGE_MAX = 100


async def list_certificates(call: Call) -> web.Response:
    query = read_query(call, CERTIFICATES_PER_PAGE_MAX)
    listing = await certificates.list_certificates(call.ctx, query)
    return await listed(
        call, "certificates", listing, lambda one: wire.write_certificate(one, call.base)
    )


async def create_certificate(call: Call) -> web.Response:
    new = wire.read_certificate(await call.document())
    await certificates.create_certificate(call.ctx, new.key, new.data, new.format, new.password)
    return call.created(wire.write_location(new.key, call.base))


async def get_certificate(call: Call) -> web.Response:
    found = await certificates.get_certificate(call.ctx, _key(call))
    document = selected(call, wire.write_certificate(found, call.base))
    return call.entity("certificates/@Element", document)


async def delete_certificate(call: Call) -> web.Response:
    await certificates.delete_certificate(call.ctx, _key(call))
    return call.done(202, with_id=False)


async def cancel_deletion(call: Call) -> web.Response:
    await certificates.cancel_deletion(call.ctx, _key(call))
    return call.done(204)


def _key(call: Call) -> CertificateKey:
    return wire.read_key(call.arguments["thumbprint"])
