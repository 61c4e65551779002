"""Refusals: what a caller may be told, as one exception and one table of codes.

Source: the Batch REST reference's error codes; texts as recorded from the service where known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


class Refused(Exception):
    """The caller asked for something that cannot be done; the caller must act.

    code     a key of CODES: decides the HTTP status and the message
    message  overrides the code's usual text
    details  what went wrong with values, shown to the caller as `values`: PropertyName, Reason...
    """

    def __init__(self, code: str, message: str | None = None, **details: str) -> None:
        status, usual = CODES[code]
        self.code = code
        self.status = status
        self.message = message or usual
        self.details = details
        super().__init__(f"{code}: {self.message} {details or ''}".rstrip())


class Unavailable(Exception):
    """Something outside does not answer now (a node, a provider); who waits may try again."""


def invalid_property(name: str, value: object, reason: str) -> Refused:
    """Return the refusal for a property of a request body; `reason` says how to mend it."""
    shown = str(value)
    return Refused(
        "InvalidPropertyValue",
        PropertyName=name,
        PropertyValue=shown if len(shown) <= 256 else shown[:256] + "...",
        Reason=reason,
    )


def missing_property(name: str) -> Refused:
    """Return the refusal for a required property that a request body lacks."""
    return Refused("MissingRequiredProperty", PropertyName=name)


def invalid_header(name: str, value: str, reason: str) -> Refused:
    """Return the refusal of a header; `reason` says how to mend it."""
    return Refused("InvalidHeaderValue", HeaderName=name, HeaderValue=value[:256], Reason=reason)


def invalid_path(reason: str) -> Refused:
    """Return the refusal of a path that can be none of any operation."""
    return Refused("InvalidUri", Reason=f"The path leads nowhere: {reason}")


def not_built(name: str) -> Refused:
    """Return the refusal for a property of a feature that this version does not have."""
    return Refused(
        "UnsupportedProperty",
        PropertyName=name,
        Reason=f"Shoal does not support '{name}' yet; leave it out of the request.",
    )


CODES: Final[Mapping[str, tuple[int, str]]] = {
    # 304 / 412: conditions
    "ConditionNotMet": (
        412,
        "The condition specified using HTTP conditional header(s) is not met.",
    ),
    # 400: the request itself
    "MissingRequiredHeader": (400, "A required HTTP header was not specified."),
    "UnsupportedHeader": (400, "One of the HTTP headers specified is not supported."),
    "InvalidHeaderValue": (
        400,
        "The value for one of the HTTP headers is not in the correct format.",
    ),
    "MissingRequiredProperty": (400, "A required property was not specified in the request body."),
    "UnsupportedProperty": (
        400,
        "One of the properties specified in the request body is not supported.",
    ),
    "InvalidPropertyValue": (
        400,
        "The value provided for one of the properties in the request body is invalid.",
    ),
    "InvalidRequestBody": (400, "The specified Request Body is not syntactically valid."),
    "MissingRequiredQueryParameter": (
        400,
        "A required query parameter was not specified for this request.",
    ),
    "UnsupportedQueryParameter": (
        400,
        "One of the query parameters specified in the request URI is not supported.",
    ),
    "InvalidQueryParameterValue": (
        400,
        "An invalid value was specified for one of the query parameters in the request URI.",
    ),
    "OutOfRangeQueryParameterValue": (
        400,
        "A query parameter specified in the request URI is outside the permissible range.",
    ),
    "OutOfRangeInput": (400, "One of the request inputs is out of range."),
    "RequestUrlFailedToParse": (400, "The url in the request could not be parsed."),
    "InvalidUri": (400, "The requested URI does not represent any resource on the server."),
    "InvalidHttpVerb": (400, "The HTTP verb specified was not recognized by the server."),
    "InvalidInput": (400, "One of the request inputs is not valid."),
    "InvalidAuthenticationInfo": (
        400,
        "The authentication information was not provided in the correct format. "
        "Verify the value of Authorization header.",
    ),
    "InvalidMetadata": (400, "The metadata specified is invalid."),
    "EmptyMetadataKey": (400, "The key for one of the metadata key-value pairs is empty."),
    "MetadataTooLarge": (
        400,
        "The size of the specified metadata exceeds the maximum size permitted.",
    ),
    "MultipleConditionHeadersNotSupported": (400, "Multiple condition headers are not supported."),
    "UnsupportedRequestVersion": (400, "The specified api-version is not supported."),
    "MissingApiVersionParameter": (
        400,
        "The api-version query parameter (?api-version=) is required for all requests.",
    ),
    "InvalidApiVersionParameter": (400, "The api-version is invalid."),
    "OutOfRangePriority": (400, "The priority specified is outside the permissible range."),
    "InvalidConstraintValue": (400, "The value provided for one of the constraints is invalid."),
    "InvalidAutoScalingSettings": (400, "The autoscale settings specified are invalid."),
    "AutoScalingFormulaSyntaxError": (
        400,
        "The specified autoscaling formula has a syntax error.",
    ),
    "AutoScalingFormulaTooLong": (
        400,
        "The specified autoscaling formula is too long.",
    ),
    "TaskDependenciesNotSpecifiedOnJob": (
        400,
        "Task dependencies were specified on a task, but the job does not use task dependencies.",
    ),
    "PoolNotEligibleForOSVersionUpgrade": (
        400,
        "The specified pool is not eligible for an upgrade of its OS version.",
    ),
    "NodeAgentSKUNotFound": (404, "The specified node agent SKU does not exist."),
    # 403: who is asking
    "AuthenticationFailed": (
        403,
        "Server failed to authenticate the request. Make sure the value of Authorization header "
        "is formed correctly including the signature.",
    ),
    "InsufficientAccountPermissions": (
        403,
        "The account being accessed does not have sufficient permissions to execute this "
        "operation.",
    ),
    "AccountIsDisabled": (403, "The specified account is disabled."),
    # 404
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "PoolNotFound": (404, "The specified pool does not exist."),
    "NodeNotFound": (404, "The specified node does not exist."),
    "JobScheduleNotFound": (404, "The specified job schedule does not exist."),
    "JobNotFound": (404, "The specified job does not exist."),
    "TaskNotFound": (404, "The specified task does not exist."),
    "FileNotFound": (404, "The specified file does not exist."),
    "ApplicationNotFound": (404, "The specified application does not exist."),
    "ApplicationPackageNotFound": (404, "The specified application package does not exist."),
    "CertificateNotFound": (404, "The specified certificate does not exist."),
    # 405, 411, 413, 416
    "UnsupportedHttpVerb": (405, "The resource doesn't support specified Http Verb."),
    "MissingContentLengthHeader": (411, "The Content-Length header was not specified."),
    "RequestBodyTooLarge": (
        413,
        "The request body is too large and exceeds the maximum permissible limit.",
    ),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    # 409: state
    "OperationInvalidForCurrentState": (
        409,
        "The specified operation is not valid for the current state of the resource.",
    ),
    "PoolBeingDeleted": (409, "The specified pool is being deleted."),
    "PoolBeingResized": (409, "The specified pool is being resized."),
    "OperationNotValidOnPool": (409, "The specified operation is not valid on the pool."),
    "NodeBeingCreated": (409, "The specified node is being created."),
    "NodeBeingStarted": (409, "The specified node is being started."),
    "NodeBeingRebooted": (409, "The specified node is being rebooted."),
    "NodeBeingReimaged": (409, "The specified node is being reimaged."),
    "NodeStateUnusable": (409, "The specified node is in an unusable state."),
    "NodeAlreadyInTargetSchedulingState": (
        409,
        "The specified node is already in the target scheduling state.",
    ),
    "OperationNotValidOnNode": (409, "The specified operation is not valid on the node."),
    "JobScheduleDisabled": (409, "The specified job schedule is disabled."),
    "JobScheduleCompleted": (409, "The specified job schedule is already completed."),
    "JobScheduleBeingTerminated": (409, "The specified job schedule is being terminated."),
    "JobScheduleBeingDeleted": (409, "The specified job schedule is being deleted."),
    "JobBeingTerminated": (409, "The specified job is being terminated."),
    "JobBeingDeleted": (
        409,
        "The specified job has been marked for deletion and is being garbage collected.",
    ),
    "JobDisabled": (409, "The specified job is disabled."),
    "JobCompleted": (409, "The specified job is already in a completed state."),
    "JobNotActive": (409, "The specified job is not active."),
    "JobPreparationTaskOrReleaseTaskNotSpecified": (
        409,
        "The specified job has neither a job preparation task nor a job release task.",
    ),
    "TaskCompleted": (409, "The specified task is already in a completed state."),
    "TaskNotCompleted": (409, "The specified task is not in a completed state."),
    "TaskSucceeded": (409, "The specified task completed successfully."),
    "TaskFilesUnavailable": (409, "The task files are unavailable for access."),
    "TaskFilesCleanedup": (409, "The task files have been cleaned up."),
    "CertificateStateActive": (409, "The specified certificate is in active state."),
    "CertificateBeingDeleted": (409, "The specified certificate is being deleted."),
    "InvalidCertificateReferences": (
        409,
        "One or more of the specified certificates are invalid.",
    ),
    # 409: exists, quota
    "ResourceAlreadyExists": (409, "The specified resource already exists."),
    "CertificateExists": (409, "The specified certificate already exists."),
    "PoolExists": (409, "The specified pool already exists."),
    "JobExists": (409, "The specified job already exists."),
    "JobScheduleExists": (409, "The specified job schedule already exists."),
    "JobWithSameIdExists": (409, "A job with the specified id already exists."),
    "JobScheduleWithSameIdExists": (
        409,
        "A job schedule with the specified id already exists.",
    ),
    "TaskExists": (409, "The specified task already exists."),
    "ApplicationQuotaReached": (
        409,
        "The application quota for the account has been reached.",
    ),
    "ApplicationPackageQuotaReached": (
        409,
        "The package quota for the application has been reached.",
    ),
    "PoolQuotaReached": (409, "The pool quota for the account has been reached."),
    "ActiveJobAndScheduleQuotaReached": (
        409,
        "The active job and job schedule quota for the account has been reached.",
    ),
    # 5xx
    "InternalError": (
        500,
        "Server encountered an internal error. Please try again after some time.",
    ),
    "OperationTimedOut": (500, "The operation could not be completed within the permitted time."),
    "NotImplemented": (
        501,
        "The requested operation is not implemented on the specified resource.",
    ),
    "TooManyEnableAutoScaleRequests": (
        503,
        "Autoscale was enabled on the pool a moment ago. Please retry your request later.",
    ),
    "ServerBusy": (
        503,
        "The server is currently unable to receive requests. Please retry your request.",
    ),
}
"""Each code's HTTP status and usual text."""
