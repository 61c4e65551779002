"""The workflow that every user of Azure Batch learned first, on the words of this repository."""
