"""What differs for reasons that lie outside of Shoal's API, and what is put in place of it.

Two tables. A Substitution is a part of a request that Shoal refuses, clearly: the interaction is
replayed without it, or with something of the same form. A Reason explains what is left to differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from shoal_controller.api import offers
from shoal_controller.api.routes import ROUTES
from tests.conformance.conftest import MACHINE, Answer
from tests.replay.compare import ABSENT, Difference
from tests.replay.recorded import Document, Recorded

OTHER_POOL: Final = "p1"


@dataclass(frozen=True)
class Substitution:
    """A property that Shoal refuses, and what is done about it.

    instead  changes the structure that has the property; None: the property is left out
    hides    further properties that answers lack, or show otherwise, because of it
    """

    name: str
    reason: str
    instead: Callable[[Document], None] | None = None
    hides: tuple[str, ...] = ()

    def apply(self, document: Any) -> bool:
        """Change a document at any depth; return whether there was anything to change.

        Doing it again changes nothing.
        """
        if type(document) is list:
            return any([self.apply(item) for item in document])
        if type(document) is not dict:
            return False
        before = dict(document)
        if document.get(self.name) is not None:
            if self.instead is None:
                del document[self.name]
            else:
                self.instead(document)
        return any([document != before, *[self.apply(inner) for inner in document.values()]])

    def concerns(self, difference: Difference) -> bool:
        """Return whether a difference lies at, or below, what was substituted."""
        return any(
            re.search(rf"/{re.escape(name)}(\[\])?(/|\Z)", difference.place)
            for name in (self.name, *self.hides)
        )


def is_same_form(difference: Difference) -> bool:
    """Return whether both have something there: what was put in place has its own values."""
    return ABSENT not in (difference.expected, difference.found)


_NOT_BUILT: Final = "`{}` is refused: Shoal does not have it"


def substitution(answer: Answer) -> Substitution | None:
    """Return what to do about a refusal, if anything can be done."""
    for error in _errors(answer):
        values = {item["key"]: item["value"] for item in error.get("values", ())}
        name, reason = values.get("PropertyName", ""), values.get("Reason", "")
        if name in SUBSTITUTIONS:
            return SUBSTITUTIONS[name]
        if "does not support" in reason:
            return Substitution(name, _NOT_BUILT.format(name))
    return None


def _errors(answer: Answer) -> list[Document]:
    """Return the errors of an answer: its own, or those of tasks that were not added."""
    if not answer.body.startswith(b"{"):
        return []
    if answer.status >= 400:
        return [answer.json]
    added = answer.json.get("value", ())
    return [item["error"] for item in added if item.get("status") == "ClientError"]


def _another_image(machine: Document) -> None:
    if "nodeAgentSKUId" in machine:
        machine |= MACHINE


def _virtual_machine(pool: Document) -> None:
    del pool["cloudServiceConfiguration"]
    pool["virtualMachineConfiguration"] = dict(MACHINE)


def _pool_by_id(info: Document) -> None:
    info.clear()
    info["poolId"] = OTHER_POOL


def _container(file: Document) -> None:
    file["storageContainerUrl"] = f"https://store.example/{file.pop('autoStorageContainerName')}"


_IMAGE: Final = Substitution(
    "imageReference",
    "Windows images, and those no longer supported, are not offered",
    _another_image,
    ("nodeAgentSKUId",),
)
SUBSTITUTIONS: Final = {
    "nodeAgentSKUId": _IMAGE,
    "imageReference": _IMAGE,
    "cloudServiceConfiguration": Substitution(
        "cloudServiceConfiguration",
        "cloud service pools are retired, and refused",
        _virtual_machine,
        ("virtualMachineConfiguration",),
    ),
    "autoPoolSpecification": Substitution(
        "autoPoolSpecification",
        _NOT_BUILT.format("autoPoolSpecification"),
        _pool_by_id,
        ("poolId",),
    ),
    "autoStorageContainerName": Substitution(
        "autoStorageContainerName", _NOT_BUILT.format("autoStorageContainerName"), _container
    ),
    "windowsConfiguration": Substitution("windowsConfiguration", "there are no Windows nodes"),
}
"""By the property that the refusal names."""


@dataclass(frozen=True)
class Reason:
    """Why an answer differs from the recorded one.

    operations     which ones: a regular expression of their whole name
    place, change  of the difference: regular expressions that are searched for
    versions       in which api-versions: a regular expression of their begin
    """

    text: str
    operations: str
    place: str
    change: str = ""
    versions: str = ""

    def explains(self, recorded: Recorded, difference: Difference) -> bool:
        """Return whether this is why the answer to an interaction differs there."""
        change = f"{difference.expected} -> {difference.found}"
        return (
            re.fullmatch(self.operations, recorded.name) is not None
            and re.match(self.versions, recorded.version) is not None
            and re.search(self.place, difference.place) is not None
            and re.search(self.change, change) is not None
        )


_MOMENT: Final = "recorded in the middle of a change of state"

REASONS: Final = (
    Reason(_MOMENT, "list_tasks", "/previousState", r"-> \(absent\)", "2019-06-01"),
    Reason(_MOMENT, "list_tasks", "/taskRootDirectory", r"\(absent\) ->", "2017-0[69]|2018-0[38]"),
    Reason("there are no Windows nodes", "(get|list)_tasks?", "/taskRootDirectory", "windows"),
    Reason("there are no Windows nodes", "list_pools", "/windowsUserConfiguration"),
    Reason(
        "there is no subscription that a subnet or an image could be outside of",
        "create_pool",
        "status",
        "400 InvalidPropertyValue -> 201",
    ),
    Reason(
        "local nodes have no addresses of their own, and so no inbound endpoints",
        "list_nodes|get_node",
        r"inboundEndpoints\[\]\Z",
        r"-> \(absent\)",
    ),
    Reason(
        "nodes of cloud services, and nodes older than endpoints, did not tell that they had none",
        "list_nodes|get_node",
        r"endpointConfiguration\Z",
        r"\(absent\) ->",
    ),
    Reason(
        "an image stands for the machine that the node is: it has no version of its own",
        "list_nodes|get_node",
        "imageReference/exactVersion",
    ),
    Reason(
        "nodes of virtual machine pools are reimaged too, as by later versions of the service",
        "reimage_node",
        "status",
        "409 OperationNotValidOnNode -> 202",
    ),
    Reason(
        "in this version the service had two spellings, one after the other",
        "list_tasks|get_task|list_nodes",
        "/executionInfo/result",
        "(?i)'(success|failure)' -> '\\1'",
        "2018-08-01",
    ),
    Reason(
        "in this version the service came to tell more",
        "list_pool_node_counts",
        "/leavingPool",
        r"\(absent\) -> 0",
        "2018-03-01",
    ),
    Reason(
        "the images that are offered are others: of some the support has ended",
        "list_supported_images",
        "/batchSupportEndOfLife",
    ),
    Reason(
        "a failure without details has an empty list of them: az iterates it",
        "get_task",
        "/failureInfo/details",
        r"\(absent\) -> \[\]",
    ),
    Reason(
        "that an empty list of certificates was given is not kept",
        "get_pool",
        "/certificateReferences",
        r"\[\] -> \(absent\)",
    ),
    Reason(
        "the path of the request was cut short when it was recorded",
        "create_task|download_(task|node)_file|get_(task|node)_file_properties",
        "header/(dataserviceid|location|ocp-batch-file-url)",
        "/batch[0-9a-f]{8}/.* -> .*/batch/",
    ),
)


def refusal(recorded: Recorded, difference: Difference) -> str | None:
    """Return why an operation as a whole is refused, as users are told; None where it is not."""
    offer = offers.offer(_ROUTES[recorded.name])
    is_refused = offer.kind in (offers.Kind.REFUSED, offers.Kind.ABSENT)
    return offer.note if is_refused and difference.place == "status" else None


_ROUTES: Final = {route.name: route for route in ROUTES}
