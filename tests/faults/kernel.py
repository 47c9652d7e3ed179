"""Calls to the kernel that fail or kill, for one thread: a filter of its own (seccomp), as in a container's profile.

A disk that refuses to write cannot be had in a test; a kernel that says so for it can, and what is tested is no
substitute of ours. A filter cannot be taken off, so it is for threads and processes that end.
"""

import ctypes
import os
import platform
import struct

CALLS = {
    "x86_64": {"pwrite64": 18, "flock": 73, "fsync": 74, "fdatasync": 75, "fallocate": 285},
    "aarch64": {"pwrite64": 68, "flock": 32, "fsync": 82, "fdatasync": 83, "fallocate": 47},
}[platform.machine()]
"""Numbers of calls by the machine's architecture."""

_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # instructions of classic BPF
_ALLOW, _ERROR, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2

_prctl = ctypes.CDLL(None, use_errno=True).prctl
_prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


def refuse(call: str, error: int) -> None:
    """Let a call fail with an error number, in this thread and those it starts; it is not carried out."""
    _install(call, _ERROR | error)


def kill_at(call: str) -> None:
    """Let a call kill this process, instead of being carried out."""
    _install(call, _KILL_PROCESS)


def _install(call: str, action: int) -> None:
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD_NUMBER, 0, 0, 0),
            (_JUMP_IF_EQUAL, 0, 1, CALLS[call]),
            (_RETURN, 0, 0, action),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    given = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    if _prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or _prctl(_SET_SECCOMP, _FILTER, ctypes.addressof(given), 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
