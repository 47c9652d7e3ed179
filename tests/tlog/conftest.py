"""What is collected here: the second implementation needs Python 3.12, so its tests are there where it is."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("aics_tlog") else ["test_second_implementation.py"]
