"""The images that pools may name. To local nodes every one of them means this machine's Linux."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from shoal_controller.api.wire.table import Document
from shoal_controller.core.errors import Refused, invalid_property


class Image(NamedTuple):
    """An entry of the list of supported images."""

    publisher: str
    offer: str
    sku: str
    agent: str
    verification: str = "verified"
    capabilities: tuple[str, ...] = ()
    support_ends: str | None = None

    def write_reference(self) -> Document:
        """Return what a pool names the image by."""
        return {
            "publisher": self.publisher,
            "offer": self.offer,
            "sku": self.sku,
            "version": "latest",
        }

    def write(self) -> Document:
        """Return the image as users see it."""
        document: Document = {
            "imageReference": self.write_reference(),
            "verificationType": self.verification,
            "nodeAgentSKUId": self.agent,
        }
        if self.capabilities:
            document["capabilities"] = list(self.capabilities)
        if self.support_ends is not None:
            document["batchSupportEndOfLife"] = self.support_ends
        return document | {"osType": "linux"}


_GEN2: Final = ("Generation2VMImage",)
_DOCKER: Final = ("DockerCompatible", "NvidiaTeslaDriverInstalled", "NvidiaGridDriverInstalled")
_HPC: Final = ("SupportsRDMAOnly", "IntelMPIRuntimeInstalled")
_HPC_GEN2: Final = ("DockerCompatible", *_HPC, *_GEN2)
_OLD: Final = "unverified"

IMAGES: Final = (
    Image("almalinux", "almalinux", "8_5", "batch.node.el 8", _OLD),
    Image("almalinux", "almalinux", "8_5-gen2", "batch.node.el 8", _OLD, _GEN2),
    Image("almalinux", "almalinux", "8-gen1", "batch.node.el 8"),
    Image("almalinux", "almalinux", "8-gen2", "batch.node.el 8", "verified", _GEN2),
    Image("almalinux", "almalinux", "9-gen1", "batch.node.el 9"),
    Image("almalinux", "almalinux", "9-gen2", "batch.node.el 9", "verified", _GEN2),
    Image("almalinux", "almalinux-x86_64", "8-gen2", "batch.node.el 8", "verified", _GEN2),
    Image("almalinux", "almalinux-x86_64", "9-gen2", "batch.node.el 9", "verified", _GEN2),
    Image("almalinux", "almalinux-hpc", "8_6-hpc", "batch.node.el 8", "verified", _HPC),
    Image("almalinux", "almalinux-hpc", "8_6-hpc-gen2", "batch.node.el 8", "verified", _HPC_GEN2),
    Image("canonical", "0001-com-ubuntu-server-focal", "20_04-lts", "batch.node.ubuntu 20.04"),
    Image(
        *("canonical", "0001-com-ubuntu-server-focal", "20_04-lts-gen2"),
        *("batch.node.ubuntu 20.04", "verified", _GEN2),
    ),
    Image("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "batch.node.ubuntu 22.04"),
    Image(
        *("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
        *("batch.node.ubuntu 22.04", "verified", _GEN2),
    ),
    Image("canonical", "ubuntu-24_04-lts", "server", "batch.node.ubuntu 24.04", "verified", _GEN2),
    Image("canonical", "ubuntu-24_04-lts", "server-gen1", "batch.node.ubuntu 24.04"),
    Image(
        *("canonical", "ubuntuserver", "16.04-lts", "batch.node.ubuntu 16.04", _OLD, ()),
        "2021-05-21T00:00:00Z",
    ),
    Image(
        *("canonical", "ubuntuserver", "18.04-lts", "batch.node.ubuntu 18.04", _OLD, ()),
        "2023-05-30T00:00:00Z",
    ),
    Image(
        *("canonical", "ubuntuserver", "18_04-lts-gen2", "batch.node.ubuntu 18.04", _OLD, _GEN2),
        "2023-05-30T00:00:00Z",
    ),
    Image("debian", "debian-10", "10", "batch.node.debian 10", _OLD, (), "2024-06-30T00:00:00Z"),
    Image("debian", "debian-11", "11", "batch.node.debian 11"),
    Image("debian", "debian-11", "11-gen2", "batch.node.debian 11", "verified", _GEN2),
    Image("debian", "debian-12", "12", "batch.node.debian 12"),
    Image("debian", "debian-12", "12-gen2", "batch.node.debian 12", "verified", _GEN2),
    Image(
        *("microsoft-azure-batch", "ubuntu-server-container", "20-04-lts"),
        *("batch.node.ubuntu 20.04", "verified", _DOCKER),
    ),
    Image("microsoft-dsvm", "ubuntu-hpc", "2004", "batch.node.ubuntu 20.04", "verified", _HPC_GEN2),
    Image("microsoft-dsvm", "ubuntu-hpc", "2204", "batch.node.ubuntu 22.04", "verified", _HPC_GEN2),
    Image("openlogic", "centos", "7_9", "batch.node.centos 7", _OLD, (), "2024-06-30T00:00:00Z"),
    Image(
        *("openlogic", "centos", "7_9-gen2", "batch.node.centos 7", _OLD, _GEN2),
        "2024-06-30T00:00:00Z",
    ),
    Image("rockylinux", "rockylinux-x86_64", "8-base", "batch.node.el 8", _OLD),
    Image("rockylinux", "rockylinux-x86_64", "9-base", "batch.node.el 9", _OLD),
)
"""All of them, by publisher, offer and sku."""


def write_agents() -> list[Document]:
    """Return the node agents with their verified images: the list before 2019-06-01.9.0."""
    verified: dict[str, list[Document]] = {}
    for image in IMAGES:
        if image.verification != _OLD:
            verified.setdefault(image.agent, []).append(image.write_reference())
    return [
        {"id": agent, "verifiedImageReferences": verified[agent], "osType": "linux"}
        for agent in sorted(verified)
    ]


_AGENTS: Final = {image.agent for image in IMAGES}
_AGENT_OF: Final = {(image.publisher, image.offer, image.sku): image.agent for image in IMAGES}
_CUSTOM: Final = ("virtualMachineImageId", "sharedGalleryImageId", "communityGalleryImageId")
_OWN_IMAGE: Final = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute"
    r"/(images/[^/]+|galleries/[^/]+/images/[^/]+(/versions/[^/]+)?)",
    re.IGNORECASE,
)
"""A `virtualMachineImageId`; before 2017-09-01.6.0 images were blobs, which have URLs."""


def check_image(configuration: Mapping[str, Any]) -> None:
    """Raise Refused unless a virtualMachineConfiguration names an image and its own agent.

    A custom image goes with any known agent: what is inside of it is its owner's affair.
    """
    agent = configuration["nodeAgentSKUId"].strip().lower()
    if agent not in _AGENTS:
        raise Refused(
            "NodeAgentSKUNotFound",
            PropertyName="nodeAgentSKUId",
            PropertyValue=agent[:256],
            Reason=f"Known are: {', '.join(sorted(_AGENTS))}.",
        )
    reference = configuration["imageReference"]
    if any(reference.get(name) for name in _CUSTOM):
        own = reference.get("virtualMachineImageId", "")
        if own.startswith("/") and not _OWN_IMAGE.fullmatch(own):
            raise invalid_property(
                "virtualMachineImageId",
                own,
                "It must end with /providers/Microsoft.Compute/images/{name}, or with "
                "/providers/Microsoft.Compute/galleries/{gallery}/images/{name}, which may be "
                "followed by /versions/{version}; before that stand subscription and group.",
            )
        return
    named = tuple(reference.get(key, "").lower() for key in ("publisher", "offer", "sku"))
    expected = _AGENT_OF.get(named)
    if expected is None:
        raise invalid_property(
            "imageReference",
            " ".join(named),
            "There is no such image here; GET /supportedimages lists those there are.",
        )
    if expected != agent:
        raise invalid_property(
            "nodeAgentSKUId", agent, f"The image needs the node agent '{expected}'."
        )
