"""Mapped devices of the guest."""

from harness import device_mapper


class Mapped:
    """A device of one target over the whole of it, up from the start; `table` as in dmsetup's, from
    the number of sectors on. `number` is what other tables call it."""

    def __init__(self, name, table):
        self.name = name
        self.number = device_mapper.create(name)
        self.path = f"/dev/dm-{self.number.split(':')[1]}"
        try:
            self.load(table)
            self.resume()
        except OSError:
            self.remove()
            raise

    def load(self, table):
        sectors, kind, arguments = table.split(" ", 2)
        device_mapper.load(self.name, [(0, int(sectors), kind, arguments)])

    def suspend(self):
        device_mapper.suspend(self.name)

    def resume(self):
        device_mapper.resume(self.name)

    def remove(self):
        device_mapper.remove(self.name)

    def message(self, text):
        device_mapper.message(self.name, 0, text)

    def status(self, noflush=False):
        """Of its one line: the words after the kind of target."""
        line, = device_mapper.status(self.name, noflush)
        return line.split()[3:]
