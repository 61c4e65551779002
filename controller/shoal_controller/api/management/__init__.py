"""The management interface: accounts, keys, applications and packages, as Azure Resource Manager
speaks of them. Another dialect than the Batch service's, at the same door.
"""
