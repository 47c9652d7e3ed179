"""Whether entries are legal events: their bytes, what they may follow, their versions and their days.

Written from the design and not from the services' code, so that a fault in a node and the same fault in the
federation would not pass here too.
"""
