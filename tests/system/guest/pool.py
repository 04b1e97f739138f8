"""A thin pool of the kernel's over two disks, and its volumes. Sizes are in sectors."""

from harness import blockio

from mapped import Mapped
import system_calls

system_calls.load_modules("dm-thin-pool")


class Pool:
    def __init__(self, meta="/dev/ubdb", data="/dev/ubdc", block=128, size=32768, stride=0, length=0,
                 features="1 skip_block_zeroing", data_sectors=None):
        self.meta, self.data, self.block, self.features = meta, data, block, features
        self.size = size                            # of every volume
        self.stride, self.length = stride, length   # how digests are taken (blockio.digest)
        self.thins = {}
        self.device = Mapped("pool", self.table(data_sectors))

    def data_sectors(self):
        """Whole blocks of its data disk."""
        return system_calls.sectors(self.data) // self.block * self.block

    def table(self, data_sectors=None):
        return (f"{data_sectors or self.data_sectors()} thin-pool {self.meta} {self.data} "
                f"{self.block} 0 {self.features}")

    def message(self, text):
        self.device.message(text)

    def create(self, thin):
        self.message(f"create_thin {thin}")
        self.up(thin)

    def up(self, thin):
        self.thins[thin] = Mapped(f"thin{thin}", f"{self.size} thin {self.device.number} {thin}")

    def down(self, thin):
        self.thins.pop(thin).remove()

    def snapshot(self, origin, thin):
        """Of an origin that is up, and quiet meanwhile."""
        self.thins[origin].suspend()
        self.message(f"create_snap {thin} {origin}")
        self.thins[origin].resume()

    def fill(self, thin, seed, first, count, stride=blockio.PAGE, length=blockio.PAGE):
        blockio.fill(self.thins[thin].path, seed, first, count, stride, length)

    def discard(self, thin, offset, length):
        system_calls.discard_of(self.thins[thin].path, offset, length)

    def digest(self, thin):
        """Hex, of a volume that is up."""
        device = blockio.Device(self.thins[thin].path, direct=not self.stride)
        try:
            return blockio.digest(device.read_at, self.size * 512, self.stride, self.length,
                                  self.stride and device.prefetch)
        finally:
            device.close()

    def tell_digests(self, *thins):
        """Prints the runner's `DIGEST` line of each, activated for as long as it takes."""
        for thin in thins:
            if thin not in self.thins:
                self.up(thin)
            print(f"DIGEST {thin} {self.size} {self.digest(thin)}", flush=True)
            self.down(thin)

    def close(self):
        for thin in list(self.thins):
            self.down(thin)
        self.device.remove()
