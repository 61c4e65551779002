"""2017-06-01.5.1, beside 2017-09-01.6.0: an image of one's own was a disk, named by its URI."""

from __future__ import annotations

from shoal_controller.api.versions.step import Document, Reshape, Step, without
from shoal_controller.core.errors import invalid_property


def _machine_up(document: Document) -> Document:
    disk = document.get("osDisk")
    if type(disk) is not dict or disk.get("imageUris") is None:
        return document
    uris = disk["imageUris"]
    if type(uris) is not list or len(uris) != 1:
        raise invalid_property("imageUris", "", "It must be an array of one URI.")
    if document.get("imageReference") is not None:
        raise invalid_property("osDisk", "", "Only one of osDisk and imageReference can be given.")
    return document | {
        "osDisk": without(disk, "imageUris"),
        "imageReference": {"virtualMachineImageId": uris[0]},
    }


def _machine_down(document: Document) -> Document:
    image = document.get("imageReference", {}).get("virtualMachineImageId")
    if image is None:
        return document
    disk = {"imageUris": [image], **document.get("osDisk", {})}
    return without(document, "imageReference") | {"osDisk": disk}


STEP = Step(
    "2017-06-01.5.1",
    {
        "VirtualMachineConfiguration": (Reshape(_machine_up, _machine_down),),
        "BatchOsDisk": (Reshape(gone=frozenset({"imageUris"})),),
    },
)
