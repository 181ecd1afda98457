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
        # course: begin solution
        while (end := self.buffer.find(b"\n", 0, MAX_LINE)) >= 0:
            line = self.buffer[:end].decode()
            length = announced(line)
            if len(self.buffer) < end + 1 + length:
                return messages
            messages.append((line, bytes(self.buffer[end + 1 : end + 1 + length])))
            del self.buffer[: end + 1 + length]
        if len(self.buffer) >= MAX_LINE:
            raise BadMessage("a line that is too long")
        # course: starter
        #: # TODO. This is how it is often done: one recv, one message.
        #: line, _, rest = bytes(self.buffer).partition(b"\n")
        #: self.buffer.clear()
        #: messages.append((line.decode(), rest))
        # course: end solution
        return messages
# course: begin solution


def announced(line: str) -> int:
    """How many bytes follow a line."""
    if not line.startswith("PUT "):
        return 0
    words = line.split(" ", 3)
    # isdigit alone is true of other scripts' digits too, and int takes signs, spaces and underscores.
    if len(words) < 4 or not (words[2].isascii() and words[2].isdigit() and int(words[2]) <= MAX_LENGTH):
        raise BadMessage("a PUT without a good length")
    return int(words[2])
# course: end solution
