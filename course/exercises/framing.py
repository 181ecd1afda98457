"""Chapter 2: messages out of a stream that arrives in any pieces. No sockets here: bytes go in, messages come out."""

MAX_LINE = 4096
MAX_LENGTH = 2**40


class BadMessage(Exception):
    """What arrived is not the protocol of course/handout/PROTOCOL.md."""


class Reader:
    """Takes what `recv` returned, whatever it is, and gives whole messages: a line, and the bytes that follow it.

    Only `PUT PIECE LENGTH PATH` is followed by bytes.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, arrived: bytes) -> list[tuple[str, bytes]]:
        """The messages that are whole now, and were not before.

        Raises BadMessage, as soon as it is known, for a line of more than MAX_LINE bytes with its LF, and for a PUT
        whose LENGTH is not decimal digits or is more than MAX_LENGTH.
        """
        self.buffer += arrived
        messages = []
        # TODO. This is how it is often done: one recv, one message.
        line, _, rest = bytes(self.buffer).partition(b"\n")
        self.buffer.clear()
        messages.append((line.decode(), rest))
        return messages
