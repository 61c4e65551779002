"""The OData that the Batch service speaks: $filter and $select."""
