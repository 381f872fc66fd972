"""Several processes, one on each host, that train together: meeting, agreeing, and noticing that one is lost."""

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

    To be called before anything is computed. Without arguments SLURM, Open MPI and Cloud TPU are asked, and a process alone
    stays alone. When a process is lost the others end with a message and exit status 1 within seconds; under SLURM and the
    like within half a minute, by jax's own watch. Raises `InputError` if not all have met within `timeout` seconds.
    """
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
            f"the cluster's processes did not meet ({str(error).splitlines()[0][:200]}): start them by srun or mpirun, or give "
            "the address of a coordinator, the number of processes and that of each"
        ) from error


def _shake_hands() -> None:
    """Open the channels of all devices, and of one device each, now: later the others would be waited for 30 s only."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("met")
    any_says(False)


def leave(done: bool = True) -> None:
    """Tell the others that this process has done its part, so that they need not end when it does; or that it failed."""
    for peer in _peers.values():
        try:
            peer.sendall(_FAREWELL if done else _FAILURE)
        except OSError:
            continue  # it left before us
    _peers.clear()


def is_first() -> bool:
    """Whether this process writes the files and speaks to the user."""
    return jax.process_index() == 0


def any_says(flag: bool) -> bool:
    """Whether the flag is set in one of the processes; all of them must ask."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def require_same(**told: str) -> None:
    """Raises `InputError` in every process unless all of them say the same; all must ask."""
    if jax.process_count() == 1:
        return
    from jax.experimental import multihost_utils

    for name, text in told.items():
        mine = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
        everyone = multihost_utils.process_allgather(mine)
        different = [str(i) for i, other in enumerate(everyone) if (other != everyone[0]).any()]
        if different:
            leave()  # all of them know
            raise InputError(f"process {', '.join(different)} has other {name} than process 0: start all with the same")


def from_first(tree: T) -> T:
    """The first process's values in all of them, NumPy arrays for arrays; all must call it."""
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
                        f"processes {missing} of {processes} did not come to port {port} within {timeout:.0f} s: start them "
                        "with the same coordinator and number of processes, and check that the port is open"
                    ) from None
                unless_all_met.callback(peer.close)
                number = _introduced(peer)
                if 0 < number < processes:
                    peers[number] = peer
                else:  # a stranger, such as a scan of ports
                    peer.close()
        for peer in peers.values():
            peer.sendall(b"go")
        unless_all_met.pop_all()
    return peers


def _introduced(peer: socket.socket) -> int:
    """The number that a process says first; 0, which nobody else has, for one that says none within a second."""
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
    """Wait until a peer's connection ends: the system closes it when the process dies, keep-alives notice a lost machine."""
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
        if 0 not in _lost:  # jax itself ends at once without process 0, in a less friendly way
            time.sleep(_GRACE)
        os._exit(1)
