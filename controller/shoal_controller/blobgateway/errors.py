"""Refusals in the Blob service's own words: an error code, its status, a message (pure)."""

from collections.abc import Mapping
from typing import Final

# source: Blob service error codes and common REST API error codes, public reference.
STATUS: Final[Mapping[str, int]] = {
    "AuthenticationFailed": 403,
    "AuthorizationFailure": 403,
    "AuthorizationPermissionMismatch": 403,
    "AuthorizationProtocolMismatch": 403,
    "AuthorizationResourceTypeMismatch": 403,
    "AuthorizationServiceMismatch": 403,
    "AuthorizationSourceIPMismatch": 403,
    "BlobAlreadyExists": 409,
    "BlobNotFound": 404,
    "BlockCountExceedsLimit": 409,
    "BlockListTooLong": 400,
    "CannotVerifyCopySource": 404,
    "ConditionNotMet": 412,
    "ContainerAlreadyExists": 409,
    "ContainerNotFound": 404,
    "EmptyMetadataKey": 400,
    "InternalError": 500,
    "InvalidBlobOrBlock": 400,
    "InvalidBlockId": 400,
    "InvalidBlockList": 400,
    "InvalidHeaderValue": 400,
    "InvalidHttpVerb": 400,
    "InvalidInput": 400,
    "InvalidMd5": 400,
    "InvalidMetadata": 400,
    "InvalidQueryParameterValue": 400,
    "InvalidRange": 416,
    "InvalidResourceName": 400,
    "InvalidUri": 400,
    "InvalidXmlDocument": 400,
    "Md5Mismatch": 400,
    "MetadataTooLarge": 400,
    "MissingContentLengthHeader": 411,
    "MissingRequiredHeader": 400,
    "MissingRequiredQueryParameter": 400,
    "NoAuthenticationInformation": 401,
    "NoPendingCopyOperation": 409,
    "OperationTimedOut": 408,
    "OutOfRangeInput": 400,
    "OutOfRangeQueryParameterValue": 400,
    "PublicAccessNotPermitted": 409,
    "RequestBodyTooLarge": 413,
    "ResourceNotFound": 404,
    "ServerBusy": 503,
    "SourceConditionNotMet": 412,
    "UnauthorizedBlobOverwrite": 403,
    "UnsupportedHeader": 400,
    "UnsupportedHttpVerb": 405,
    "UnsupportedQueryParameter": 400,
}


class StorageError(Exception):
    """A refused request: `code` is on the wire, `message` says what could not be done.

    status   the HTTP status; from STATUS unless the caller knows better (304 for reads)
    details  extra elements of the XML error body, such as QueryParameterName
    """

    def __init__(
        self, code: str, message: str, *, status: int | None = None, **details: str
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = STATUS[code] if status is None else status
        self.details = details


def container_not_found() -> StorageError:
    return StorageError("ContainerNotFound", "The specified container does not exist.")


def blob_not_found() -> StorageError:
    return StorageError("BlobNotFound", "The specified blob does not exist.")


def bad_query(name: str, value: str, reason: str) -> StorageError:
    return StorageError(
        "InvalidQueryParameterValue",
        f"Value for one of the query parameters specified in the request URI is invalid: {reason}",
        QueryParameterName=name,
        QueryParameterValue=value,
        Reason=reason,
    )


def bad_header(name: str, value: str, reason: str) -> StorageError:
    return StorageError(
        "InvalidHeaderValue",
        f"The value for one of the HTTP headers is not in the correct format: {reason}",
        HeaderName=name,
        HeaderValue=value,
        Reason=reason,
    )


def not_provided(kind: str, name: str, what: str) -> StorageError:
    """Refuse a feature this gateway does not have; `what` is its plural name in plain words.

    kind  "header" or "query": where the request asked for it
    """
    code = "UnsupportedHeader" if kind == "header" else "UnsupportedQueryParameter"
    return StorageError(code, f"{what} are not provided by this gateway ({name}).", Feature=what)
