"""One program on several hosts."""

import argparse

WEEK = 7 * 24 * 3600
"""Seconds that a host may wait for hosts that it exchanges no data with."""


def add_hosts(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say which hosts there are; the same command runs on each."""
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="several hosts, found by JAX (TPU pods, SLURM, Open MPI, Kubernetes)",
    )
    parser.add_argument(
        "--coordinator", metavar="HOST:PORT", help="several hosts, by hand: address of the first"
    )
    parser.add_argument("--hosts", type=int, metavar="N", help="with --coordinator: how many")
    parser.add_argument("--host", type=int, metavar="I", help="with --coordinator: 0 to N - 1")


def is_alone(args: argparse.Namespace) -> bool:
    """Whether the arguments name no other hosts."""
    return args.coordinator is None and not args.distributed


def join_hosts(args: argparse.Namespace, patience: int = 300) -> None:
    """Joins the other hosts before JAX is used; does nothing if there are none.

    Args:
      patience: seconds for which a host that is done waits for the others.

    Raises:
      ValueError: the arguments about hosts are incomplete or wrong.
    """
    by_hand = (args.coordinator, args.hosts, args.host)
    if any(one is not None for one in by_hand) and None in by_hand:
        raise ValueError("--coordinator, --hosts and --host belong together")
    if is_alone(args):
        return
    import jax

    try:
        jax.distributed.initialize(*by_hand, shutdown_timeout_seconds=patience)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"the hosts can not be joined: {error}") from None
