"""The client's dfc.conf. This file is complete."""

import re
from typing import NamedTuple


class Server(NamedTuple):
    """A line `Server NAME HOST:PORT`."""

    name: str
    host: str
    port: int


def parse(text: str) -> list[Server]:
    """The servers of a dfc.conf, in its order.

    Lines with other keys are left alone: level 2 will need `Username` and `Password`.
    Raises ValueError with the number of a wrong line.
    """
    servers = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0] != "Server":
            continue
        try:
            _, name, address = words
            host, port = address.rsplit(":", 1)
            if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
                raise ValueError
            servers.append(Server(name, host, int(port)))
        except ValueError:
            raise ValueError(f"line {number}: expected Server NAME HOST:PORT") from None
    if len(servers) != 4:
        raise ValueError(f"{len(servers)} servers, expected 4")
    return servers
