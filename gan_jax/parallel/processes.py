"""Training with several processes, one on each host: start-up, agreement, and detection of lost processes."""

import contextlib
import hashlib
import os
import select
import socket
import sys
import threading
import time
from typing import TypeVar

import jax
import numpy as np

from gan_jax import keys
from gan_jax.errors import InputError

T = TypeVar("T")
_GRACE = 5.0  # seconds for the main thread to end by itself once a process is lost
_FAREWELL, _FAILURE = b"bye", b"err"
_lost: list[int] = []
_peers: dict[int, socket.socket] = {}


def connect(coordinator: str | None, processes: int | None, process: int | None, timeout: float = 60.0) -> None:
    """Make this process number `process` of `processes`; process 0 is reached at `coordinator`, HOST:PORT.

    Call it before anything is computed. Without arguments SLURM, Open MPI and Cloud TPU are detected; elsewhere the process
    stays a single one. When a process is lost, the others end with a message and exit status 1 within seconds; under SLURM and
    the like within half a minute, by jax's own heartbeat. Raises `InputError` if not all connect within `timeout` seconds.
    """
    if jax.distributed.is_initialized():  # by an earlier call
        return
    if coordinator is None:
        if processes is not None or process is not None:
            raise InputError("a number of processes needs a coordinator, HOST:PORT, the address of process 0")
        if _in_cluster():
            _initialize_by_cluster(timeout)
        return
    if processes is None or process is None or not 0 <= process < processes:
        raise InputError(
            f"a coordinator needs the number of processes N and this one's, 0 to N - 1, not {processes} and {process}"
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"the coordinator is given as HOST:PORT, such as 10.0.0.1:12345, not {coordinator}")
    peers = _gather(int(port), processes, timeout) if process == 0 else {0: _join(host, int(port), process, timeout)}
    _peers.update(peers)
    threading.Thread(target=_watch, args=(peers,), daemon=True).start()
    jax.distributed.initialize(
        coordinator, processes, process, heartbeat_timeout_seconds=30, initialization_timeout=max(int(timeout), 1)
    )
    _shake_hands()


def _initialize_by_cluster(timeout: float) -> None:
    try:
        jax.distributed.initialize(heartbeat_timeout_seconds=30, initialization_timeout=max(int(timeout), 1))
        _shake_hands()
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"the cluster's processes did not connect ({str(error).splitlines()[0][:200]}): start them by srun or mpirun, or "
            "give the address of a coordinator, the number of processes and that of each"
        ) from error


def _shake_hands() -> None:
    """Connect all devices, and one of each process, now: later collectives wait 30 s only for the others."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("met")
    any_says(False)


def leave(done: bool = True) -> None:
    """Tell the other processes that this one is done, so that they do not end when it does; or that it failed."""
    for peer in _peers.values():
        try:
            peer.sendall(_FAREWELL if done else _FAILURE)
        except OSError:
            continue  # it has ended already
    _peers.clear()


def is_first() -> bool:
    """Whether this is process 0, which writes the files and prints."""
    return jax.process_index() == 0


def any_says(flag: bool) -> bool:
    """Whether the flag is set in any process; all processes must call it."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def require_same(**told: str) -> None:
    """Raises `InputError` in every process unless all give the same texts; all processes must call it."""
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    for name, text in told.items():
        mine = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
        everyone = multihost_utils.process_allgather(mine)
        different = [str(i) for i, other in enumerate(everyone) if (other != everyone[0]).any()]
        if different:
            leave()  # all processes raise this
            raise InputError(
                f"process {', '.join(different)} has different {name} from process 0: start all processes with the same"
            )


def from_first(tree: T) -> T:
    """The values of process 0, as NumPy arrays; all processes must call it."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    host = jax.tree.map(lambda x: np.asarray(keys.data(x)), tree)
    exchanged = multihost_utils.broadcast_one_to_all(host)
    return jax.tree.map(lambda x, like: keys.wrapped(np.asarray(x), like), exchanged, tree)


def lost() -> list[int]:
    """The numbers of the processes that were lost."""
    return list(_lost)


def _in_cluster() -> bool:
    several = [os.environ.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")]
    by_rank = ("SLURM_PROCID" in os.environ, "OMPI_COMM_WORLD_RANK" in os.environ)
    hosts = os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",")
    return any(n.isdecimal() and int(n) > 1 and there for n, there in zip(several, by_rank, strict=True)) or len(hosts) > 1


def _gather(port: int, processes: int, timeout: float) -> dict[int, socket.socket]:
    """Process 0 waits for all others; then the port is free for jax's own service."""
    peers: dict[int, socket.socket] = {}
    deadline = time.monotonic() + timeout
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        raise InputError(f"port {port} of the coordinator cannot be opened here ({error.strerror}): choose another") from error
    with contextlib.ExitStack() as unless_all_met:
        with server:
            while len(peers) < processes - 1:
                server.settimeout(max(deadline - time.monotonic(), 0.01))
                try:
                    peer, _ = server.accept()
                except TimeoutError:
                    missing = ", ".join(str(i) for i in range(1, processes) if i not in peers)
                    raise InputError(
                        f"processes {missing} of {processes} did not connect to port {port} within {timeout:.0f} s: start them "
                        "with the same coordinator and number of processes, and check that the port is open"
                    ) from None
                unless_all_met.callback(peer.close)
                number = _introduced(peer)
                if 0 < number < processes:
                    peers[number] = peer
                else:  # not one of ours, such as a port scan
                    peer.close()
        for peer in peers.values():
            peer.sendall(b"go")
        unless_all_met.pop_all()
    return peers


def _introduced(peer: socket.socket) -> int:
    """The number that a connecting process sends first; 0, which is our own, if none comes within a second."""
    peer.settimeout(1.0)
    try:
        return int.from_bytes(peer.recv(4, socket.MSG_WAITALL))
    except OSError:
        return 0


def _join(host: str, port: int, process: int, timeout: float) -> socket.socket:
    deadline, reason = time.monotonic() + timeout, ""
    while (left := deadline - time.monotonic()) > 0:
        try:
            with contextlib.ExitStack() as unless_met:
                peer = unless_met.enter_context(socket.create_connection((host, port), timeout=left))
                peer.sendall(process.to_bytes(4))
                peer.settimeout(max(deadline - time.monotonic(), 0.01))
                if peer.recv(2, socket.MSG_WAITALL) == b"go":
                    unless_met.pop_all()
                    return peer
                reason = "it left again"
        except OSError as error:
            reason = error.strerror or str(error)
        time.sleep(0.2)
    raise InputError(
        f"no coordinator answered at {host}:{port} within {timeout:.0f} s ({reason}): start process 0 there, and check the "
        "address and that the port is open"
    )


def _watch(peers: dict[int, socket.socket]) -> None:
    """Wait until a connection ends: the system closes it when a process dies, keep-alives detect a lost machine."""
    for peer in peers.values():
        peer.setblocking(True)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    numbers = {peer: number for number, peer in peers.items()}
    while numbers:
        ready, _, _ = select.select(list(numbers), [], [])
        for peer in ready:
            try:
                farewell = peer.recv(3)
            except OSError:
                farewell = b""
            number = numbers.pop(peer)
            if farewell != _FAREWELL:
                _lost.append(number)
        if _lost:
            break
    if _lost:
        names = ", ".join(map(str, _lost))
        print(
            f"error: process {names} was lost, so this one ends too; saved checkpoints are safe: start all again to go on",
            file=sys.stderr,
            flush=True,
        )
        if 0 not in _lost:  # without process 0 jax aborts by itself, with a stack trace
            time.sleep(_GRACE)
        os._exit(1)
