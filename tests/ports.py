"""A port for the processes of one training to find each other by."""

import random
import socket


def free_port() -> int:
    """A port that nobody listens at, below those that systems hand out to whoever asks for any.

    It is taken only when the launcher has started, seconds later.
    """
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) != 0:
                return port
