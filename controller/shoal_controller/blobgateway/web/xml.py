"""XML bodies in both directions. Reading knows no DTD, so no entity can expand or reach out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import quote
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from shoal_controller.blobgateway.conditions import format_etag, format_http_date
from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.records import Blob, BlobPrefix, Block, Container
from shoal_controller.blobgateway.web.headers import base64_text

HEAD: Final = '<?xml version="1.0" encoding="utf-8"?>'
DEPTH_MAX: Final = 8
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Kind = Literal["Committed", "Uncommitted", "Latest"]
KINDS: Final[Mapping[str, Kind]] = {
    "Committed": "Committed",
    "Uncommitted": "Uncommitted",
    "Latest": "Latest",
}


def read_leaves(body: bytes, root: str) -> list[tuple[str, str]]:
    """Path and text of each element without children, in order: ("BlockList/Latest", "QQ==").

    raises  InvalidXmlDocument if the body is no XML, has a DTD, or its root is not `root`
    """
    leaves: list[tuple[str, str]] = []
    stack: list[str] = []
    text: list[str] = []
    # Whether the element that ends next had children.
    parent = False

    def start(name: str, _: object) -> None:
        nonlocal parent
        if (not stack and name != root) or len(stack) >= DEPTH_MAX:
            raise _invalid()
        stack.append(name)
        text.clear()
        parent = False

    def end(_: str) -> None:
        nonlocal parent
        if not parent:
            leaves.append(("/".join(stack), "".join(text)))
        stack.pop()
        parent = True

    def refuse(*_: object) -> None:
        raise _invalid()

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError):
        raise _invalid() from None
    return leaves


def read_block_list(body: bytes, blocks_max: int) -> list[tuple[Kind, str]]:
    """The entries of a Put Block List body; raises BlockListTooLong or InvalidXmlDocument."""
    wanted: list[tuple[Kind, str]] = []
    for path, text in read_leaves(body, "BlockList"):
        if path == "BlockList" and not text.strip():
            continue
        kind = KINDS.get(path.removeprefix("BlockList/"))
        if kind is None:
            raise _invalid()
        wanted.append((kind, text.strip()))
    if len(wanted) > blocks_max:
        raise StorageError(
            "BlockListTooLong", f"The block list may not contain more than {blocks_max} blocks."
        )
    return wanted


def error(code: str, message: str, details: Mapping[str, str]) -> bytes:
    more = "".join(element(name, value) for name, value in details.items())
    return _bytes(f"<Error>{element('Code', code)}{element('Message', message)}{more}</Error>")


def container_list(
    endpoint: str,
    echoed: Mapping[str, str],
    containers: Iterable[Container],
    marker: str,
    *,
    with_metadata: bool,
) -> bytes:
    """The body of List Containers; `echoed` has Prefix, Marker and MaxResults as they came."""
    items = []
    for container in containers:
        metadata = _metadata(container.metadata) if with_metadata else ""
        items.append(
            f"<Container><Name>{container.name}</Name><Properties>"
            f"<Last-Modified>{format_http_date(container.modified)}</Last-Modified>"
            f"<Etag>{escape(format_etag(container.etag))}</Etag>"
            "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
            "<HasImmutabilityPolicy>false</HasImmutabilityPolicy><HasLegalHold>false</HasLegalHold>"
            f"</Properties>{metadata}</Container>"
        )
    return _bytes(
        f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint)}>{_all(echoed)}"
        f"<Containers>{''.join(items)}</Containers>{element('NextMarker', marker)}"
        "</EnumerationResults>"
    )


def blob_list(
    endpoint: str,
    container: str,
    echoed: Mapping[str, str],
    items: Iterable[Blob | BlobPrefix],
    marker: str,
    *,
    with_metadata: bool,
    with_copy: bool,
) -> bytes:
    """The body of List Blobs; `echoed` has Prefix, Marker, MaxResults, Delimiter as they came."""
    lines = [
        f"<BlobPrefix>{_name(item.name)}</BlobPrefix>"
        if isinstance(item, BlobPrefix)
        else _blob(item, with_metadata, with_copy)
        for item in items
    ]
    return _bytes(
        f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint)} "
        f"ContainerName={quoteattr(container)}>{_all(echoed)}"
        f"<Blobs>{''.join(lines)}</Blobs>{element('NextMarker', marker)}</EnumerationResults>"
    )


def block_list(committed: Sequence[Block] | None, uncommitted: Sequence[Block] | None) -> bytes:
    """The body of Get Block List; a part that was not asked for is None."""
    parts = []
    for name, blocks in (("CommittedBlocks", committed), ("UncommittedBlocks", uncommitted)):
        if blocks is not None:
            lines = "".join(
                f"<Block><Name>{escape(block.id)}</Name><Size>{block.length}</Size></Block>"
                for block in blocks
            )
            parts.append(f"<{name}>{lines}</{name}>")
    return _bytes(f"<BlockList>{''.join(parts)}</BlockList>")


def service_properties() -> bytes:
    """What Get Blob Service Properties tells: everything optional is off."""
    off = "<Enabled>false</Enabled>"
    metrics = f"<Version>1.0</Version>{off}<RetentionPolicy>{off}</RetentionPolicy>"
    return _bytes(
        "<StorageServiceProperties><Logging><Version>1.0</Version><Delete>false</Delete>"
        f"<Read>false</Read><Write>false</Write><RetentionPolicy>{off}</RetentionPolicy></Logging>"
        f"<HourMetrics>{metrics}</HourMetrics><MinuteMetrics>{metrics}</MinuteMetrics><Cors />"
        f"<DeleteRetentionPolicy>{off}</DeleteRetentionPolicy>"
        f"<StaticWebsite>{off}</StaticWebsite></StorageServiceProperties>"
    )


def signed_identifiers() -> bytes:
    return _bytes("<SignedIdentifiers />")


def element(name: str, text: str) -> str:
    """One element; characters XML cannot have become question marks."""
    return f"<{name}>{escape(_NOT_XML.sub('?', text))}</{name}>"


def _blob(blob: Blob, with_metadata: bool, with_copy: bool) -> str:
    # A page has thousands of these: one template, and checks only for what a client wrote.
    properties = blob.properties
    md5 = "" if properties.content_md5 is None else base64_text(properties.content_md5)
    inferred = "<AccessTierInferred>true</AccessTierInferred>" if properties.tier is None else ""
    copied = ""
    if with_copy and properties.copy is not None:
        copy = properties.copy
        copied = _all(
            {
                "CopyId": copy.id,
                "CopySource": copy.source,
                "CopyStatus": "success",
                "CopyProgress": f"{blob.length}/{blob.length}",
                "CopyCompletionTime": format_http_date(copy.completed),
            }
        )
    metadata = _metadata(properties.metadata) if with_metadata else ""
    return (
        f"<Blob>{_name(blob.name)}<Properties>"
        f"<Creation-Time>{format_http_date(blob.created)}</Creation-Time>"
        f"<Last-Modified>{format_http_date(blob.modified)}</Last-Modified>"
        f"<Etag>0x{blob.etag:016X}</Etag><Content-Length>{blob.length}</Content-Length>"
        f"<Content-Type>{escape(properties.content_type)}</Content-Type>"
        f"<Content-Encoding>{escape(properties.content_encoding or '')}</Content-Encoding>"
        f"<Content-Language>{escape(properties.content_language or '')}</Content-Language>"
        f"<Content-CRC64 /><Content-MD5>{md5}</Content-MD5>"
        f"<Cache-Control>{escape(properties.cache_control or '')}</Cache-Control>"
        f"<Content-Disposition>{escape(properties.content_disposition or '')}"
        "</Content-Disposition><BlobType>BlockBlob</BlobType>"
        f"<AccessTier>{properties.tier or 'Hot'}</AccessTier>{inferred}"
        "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
        f"<ServerEncrypted>false</ServerEncrypted>{copied}</Properties>{metadata}</Blob>"
    )


def _name(name: str) -> str:
    # Names that XML cannot carry come percent-encoded and say so, as since version 2021-02-12.
    if _NOT_XML.search(name):
        return f'<Name Encoded="true">{quote(name, safe="")}</Name>'
    return f"<Name>{escape(name)}</Name>"


def _metadata(pairs: Mapping[str, str]) -> str:
    return f"<Metadata>{_all(pairs)}</Metadata>"


def _all(fields: Mapping[str, str]) -> str:
    return "".join(element(name, value) for name, value in fields.items())


def _bytes(text: str) -> bytes:
    return (HEAD + text).encode("utf-8", "replace")


def _invalid() -> StorageError:
    return StorageError("InvalidXmlDocument", "XML specified is not syntactically valid.")
