"""Take from a worker what decoding does not need, before it sees a file.

    no_new_privs  no program that it could start has more rights than it has
    landlock      no file is written, created or removed (Linux 5.13); no TCP (Linux 6.7)
    seccomp       no socket, no other program or process, no signal to others, no file opened for
                  writing, no change of rights or times of files (x86-64 and arm64)
    parent        it ends with the process that started it
    limits        no file grows, few files are open, no core is dumped

Everything is given up for good, by the process itself. What a system does not have is left out;
`seehear doctor` tells what holds. Reading stays allowed: libraries are loaded when they are needed,
and what a decoder that was taken over has read it can tell its parent alone.

Landlock's and seccomp's constants are the kernel's (linux/landlock.h, linux/seccomp.h, filter.h).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

OPEN_FILES = 64

_SET_PARENT_DEATH_SIGNAL, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 1, 22, 38
_SIGKILL = 9
_EPERM, _EACCES, _ENOSYS = 1, 13, 38
_PARENT_LOOK_S = 1.0

_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_FILE_RIGHTS = (
    (1, 0b1_1111_1111_0011),  # execute is bit 0; write is bit 1; remove and make are 4 to 12
    (2, 1 << 13),  # link or rename into another folder
    (3, 1 << 14),  # truncate
    (5, 1 << 15),  # device ioctl
)
"""The rights that each version of Landlock added and that are given up: (version, bits)."""
_TCP_FROM, _TCP_RIGHTS = 4, 0b11
_SCOPES_FROM, _SCOPES = 6, 0b11

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "arm64": (0xC00000B7, 1)}
# fmt: off
_REFUSED = {  # number of each system call on x86-64 and on arm64; None for a call that it lacks
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242), "io_uring_setup": (425, 425),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40),
    "umount2": (166, 39), "chroot": (161, 51), "pivot_root": (155, 41), "shmget": (29, 194),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "creat": (85, None),
    "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
    "mknod": (133, None), "mknodat": (259, 33), "truncate": (76, 45), "chmod": (90, None),
    "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None),
    "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}
# fmt: on
_CLONE, _CLONE3, _OPENAT2 = (56, 220), (435, 435), (437, 437)
_OPEN, _OPENAT, _KILL, _TGKILL, _PRLIMIT = (2, None), (257, 56), (62, 129), (234, 131), (302, 261)
_CLONE_THREAD = 0x10000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def enter(parent: int) -> dict[str, Any]:
    """Give up all that can be given up here; return what holds, by name.

    Ends the process where its parent, of that process id, has gone. Call it before any thread is
    started: Landlock holds for the calling thread and those that it starts.
    """
    held: dict[str, Any] = {"limits": _limit(), "parent": _end_with(parent)}
    if sys.platform == "linux":
        held["no_new_privs"] = _prctl(_SET_NO_NEW_PRIVS, 1)
        for name, give_up in (("landlock", _restrict_files), ("seccomp", _restrict_calls)):
            held[name] = _tried(give_up)
    return held


def private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output, and discard what libraries read and print from now on.

    Call it before `enter`, after which nothing can be opened for writing.
    """
    tasks = os.fdopen(os.dup(0), "rb")
    results = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 open until the end
        for mode in ("r", "w", "w")
    )
    return tasks, results


def _tried(give_up: Callable[[], int]) -> int:
    try:
        return give_up()
    except Exception:  # of any origin: a system without it still decodes
        return 0


def _limit() -> bool:
    try:
        import resource
    except ImportError:  # Windows
        return False
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ):
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (most, most))
    return True


def _end_with(parent: int) -> bool:
    """Let this process end with its parent, also while a decoder hangs."""
    if os.name == "nt":
        return False
    if sys.platform == "linux" and _prctl(_SET_PARENT_DEATH_SIGNAL, _SIGKILL):
        if os.getppid() != parent:
            os._exit(0)
        return True
    import threading

    def look() -> None:
        while os.getppid() == parent:
            threading.Event().wait(_PARENT_LOOK_S)
        os._exit(0)

    threading.Thread(target=look, daemon=True).start()
    return True


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int, pointer: Any = None) -> bool:
    numbers = [ctypes.c_ulong(value), pointer or ctypes.c_ulong(0), *[ctypes.c_ulong(0)] * 2]
    try:
        return bool(_libc().prctl(ctypes.c_int(option), *numbers) == 0)
    except (OSError, AttributeError):
        return False


def _restrict_files() -> int:
    """Give up writing and TCP; return Landlock's version, 0 where the kernel has none."""
    call = _libc().syscall
    version = int(call(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))
    if version < 1:
        return 0
    files = sum(bits for since, bits in _FILE_RIGHTS if version >= since)
    tcp = _TCP_RIGHTS if version >= _TCP_FROM else 0
    scopes = _SCOPES if version >= _SCOPES_FROM else 0
    size = 24 if scopes else 16 if tcp else 8
    # A set of rules without a rule: nothing that it governs is allowed anywhere.
    rules = ctypes.create_string_buffer(struct.pack("<QQQ", files, tcp, scopes)[:size], size)
    handle = int(call(_LANDLOCK_CREATE, rules, ctypes.c_size_t(size), 0))
    if handle < 0:
        return 0
    try:
        return version if call(_LANDLOCK_RESTRICT, handle, 0) == 0 else 0
    finally:
        os.close(handle)


def _restrict_calls() -> int:
    """Refuse system calls; return 1, or 0 where the kernel or the processor is another one."""
    program = _filter(platform.machine(), os.getpid())
    if program is None:
        return 0
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    return int(_prctl(_SET_SECCOMP, 2, ctypes.create_string_buffer(head, len(head))))


_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


def _filter(machine: str, own_pid: int) -> bytes | None:
    """Return the program, of 8 bytes for each step, that judges each system call."""
    if machine not in _ARCHITECTURES:
        return None
    architecture, column = _ARCHITECTURES[machine]
    steps: list[tuple[int, int, int, int]] = []

    def step(code: int, value: int, on_true: int = 0, on_false: int = 0) -> None:
        steps.append((code, on_true, on_false, value))

    def refuse(numbers: tuple[int | None, ...], error: int) -> None:
        if (number := numbers[column]) is not None:
            step(_EQUAL, number, 0, 1)
            step(_RETURN, _REFUSE | error)

    def judge(numbers: tuple[int | None, ...], argument: int, test: int, value: int, error: int,
              *, allowed: bool) -> None:  # fmt: skip
        """Allow or refuse a call for one argument, of which the lower 32 bits are looked at."""
        if (number := numbers[column]) is not None:
            step(_EQUAL, number, 0, 4)
            step(_LOAD, _ARGUMENTS_AT + 8 * argument)
            step(test, value, 1 if allowed else 0, 0 if allowed else 1)
            step(_RETURN, _REFUSE | error)
            step(_RETURN, _ALLOW)

    step(_LOAD, _ARCHITECTURE_AT)
    step(_EQUAL, architecture, 1, 0)
    step(_RETURN, _REFUSE | _EPERM)  # calls of 32 bits have other numbers
    step(_LOAD, _NUMBER_AT)
    if column == 0:
        step(_AT_LEAST, 1 << 30, 0, 1)  # so have those of x32
        step(_RETURN, _REFUSE | _EPERM)
    for numbers in _REFUSED.values():
        refuse(numbers, _EPERM)
    refuse(_CLONE3, _ENOSYS)  # its arguments are not to be seen; libraries use clone instead
    refuse(_OPENAT2, _ENOSYS)
    judge(_CLONE, 0, _ANY_BIT, _CLONE_THREAD, _EPERM, allowed=True)
    judge(_KILL, 0, _EQUAL, own_pid, _EPERM, allowed=True)
    judge(_TGKILL, 0, _EQUAL, own_pid, _EPERM, allowed=True)
    judge(_PRLIMIT, 0, _EQUAL, 0, _EPERM, allowed=True)
    judge(_OPEN, 1, _ANY_BIT, _WRITES, _EACCES, allowed=False)
    judge(_OPENAT, 2, _ANY_BIT, _WRITES, _EACCES, allowed=False)
    step(_RETURN, _ALLOW)
    return b"".join(struct.pack("=HBBI", *one) for one in steps)
