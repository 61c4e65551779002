"""Names under which preparers hand resources to tests."""

RESOURCE_GROUP_PARAM = "resource_group"
