"""Sequences on thin pools: small ones, so that they fill, and mostly sensible ones, so that they get
anywhere."""

from harness.sequences import Draw, Sequence

PAGE_SECTORS = 8
META_SECTORS, DATA_SECTORS = 4096, 8192     # of the disks
FEATURES = ("skip_block_zeroing", "ignore_discard", "no_discard_passdown", "read_only",
            "error_if_no_space")
BAD_IDS = ("16777216", "-1", "x", "1x", "", "0x1", "99999999999999999999")


class Maker:
    """A sequence in the making, and what it should have come to so far."""

    def __init__(self, seed):
        self.draw = Draw(seed)
        self.actions = []
        self.tag = 0
        self.ids = []          # of thins, as far as we know
        self.transaction = 0
        self.thins = {}        # devices: pages
        self.block = self.draw.of((128, 128, 128, 256, 384))
        self.metadata_sectors = self.draw.of((512, 1024, 1600, 4096))
        self.data_blocks = self.draw.between(3, 12)
        self.low_water = self.draw.of((0, 0, 1, 3, 100))
        self.features = []
        self.skip_zeroing = self.draw.one_in(3)
        self.has_pool = False
        self.suspended = False

    def add(self, *words):
        self.actions.append(" ".join(str(word) for word in words).rstrip())

    # --- The pool.

    def pool_table(self):
        return (f"0 {self.data_blocks * self.block} thin-pool md dd {self.block} {self.low_water}"
                f" {len(self.features)} {' '.join(self.features)}").rstrip()

    def bad_pool_table(self):
        block, low, blocks = self.block, self.low_water, self.data_blocks
        size = blocks * block
        return self.draw.of((
            f"0 {size} thin-pool", f"0 {size} thin-pool md dd {block}",
            f"0 {size} thin-pool md md {block} {low}", f"0 {size} thin-pool nosuch dd {block} {low}",
            f"0 {size} thin-pool md nosuch {block} {low}", f"0 {size} thin-pool md dd 64 {low}",
            f"0 {size} thin-pool md dd 130 {low}", f"0 {size} thin-pool md dd x {low}",
            f"0 {size} thin-pool md dd 4194304 {low}", f"0 {size} thin-pool md dd {block} x",
            f"0 {size} thin-pool md dd {block} -1", f"0 {size} thin-pool md dd {block} {low} x",
            f"0 {size} thin-pool md dd {block} {low} 9", f"0 {size} thin-pool md dd {block} {low} -1",
            f"0 {size} thin-pool md dd {block} {low} 1 no_such_feature",
            f"0 {size} thin-pool md dd {block} {low} 1 ",
            f"8 {size} thin-pool md dd {block} {low}", f"0 0 thin-pool md dd {block} {low}",
            f"0 {size} thin-pool md dd {block} {low}|{size} 8 error",
            f"0 8 error|8 {size} thin-pool md dd {block} {low}",
            f"0 {size} no-such-target md dd", f"0 {size} zero", f"0 {size} linear dd 0",
            f"0 16384 thin-pool md dd {block} {low}",
            f"0 {size} thin-pool md dd {128 if block != 128 else 256} {low}",
            f"0 {size} thin-pool spare dd {block} {low}"))

    def draw_features(self, ignore=None):
        chosen = self.draw.some(FEATURES[1:])[:3]
        if "read_only" in chosen and not self.draw.one_in(4):
            chosen.remove("read_only")
        if ignore is not None:     # no later table may change it
            chosen = [f for f in chosen if f != "ignore_discard"] + ["ignore_discard"] * ignore
        self.features = ["skip_block_zeroing"] * self.skip_zeroing + chosen
        if self.draw.one_in(6):
            self.features = [f.upper() for f in self.features]

    def begin(self):
        self.add("create md")
        self.add(f"load md 0 {self.metadata_sectors} linear meta 0")
        self.add("resume md")
        self.add("create dd")
        spare = self.draw.of((0, 0, 8, 64))      # no whole block
        self.data_sectors = self.data_blocks * self.block + spare
        self.add(f"load dd 0 {self.data_sectors} linear data 0")
        self.add("resume dd")
        self.draw_features()
        if "read_only" in [f.lower() for f in self.features] and not self.draw.one_in(4):
            self.features = [f for f in self.features if f.lower() != "read_only"]
        self.add("create pool")
        if self.draw.one_in(4):
            self.add("load pool", self.bad_pool_table())
        self.add("load pool", self.pool_table())
        if self.draw.one_in(6):
            self.look("pool")
        self.add("resume pool")
        self.has_pool = True

    def reload_pool(self):
        if self.draw.one_in(3):
            self.add("load pool", self.bad_pool_table())
            if self.draw.one_in(2):
                self.add("resume pool")
            return
        ignore = int(any(f.lower() == "ignore_discard" for f in self.features))
        if not self.draw.one_in(8):
            self.draw_features(ignore)
        if self.draw.one_in(3):
            self.low_water = self.draw.of((0, 1, 2, 5, 50))
        kept = self.data_blocks
        if self.draw.one_in(3):
            self.data_blocks += self.draw.of((-1, 1, 2, 4))
            grown = max(self.data_blocks, kept) * self.block
            if grown > self.data_sectors and not self.draw.one_in(5):
                self.resize("dd", "data", grown)
                self.data_sectors = grown
        self.add("load pool", self.pool_table())
        if self.data_blocks < kept:
            self.data_blocks = kept      # it is going to be refused
        if self.draw.one_in(8):
            self.add("clear pool")
        if self.draw.one_in(3):
            self.add("suspend pool", self.draw.of(("", "noflush")))
        if self.draw.one_in(5):
            self.look("pool")
        self.add("resume pool")

    def resize(self, name, disk, sectors):
        self.add(f"load {name} 0 {sectors} linear {disk} 0")
        self.add(f"suspend {name}")
        self.add(f"resume {name}")

    def grow_metadata(self):
        self.metadata_sectors = min(META_SECTORS, self.metadata_sectors + self.draw.of((4, 64, 800)))
        self.add("suspend pool")
        self.resize("md", "meta", self.metadata_sectors)
        self.add("resume pool")

    # --- Messages.

    def id_of_thin(self):
        if self.draw.one_in(20):
            return self.draw.of(BAD_IDS)
        if self.ids and not self.draw.one_in(8):
            return self.draw.of(self.ids)
        return self.draw.of((0, 1, 2, 3, 4, 5, 16777215))

    def new_id(self):
        if self.draw.one_in(10):
            return self.id_of_thin()
        return self.draw.of([i for i in range(7) if i not in self.ids] or [9])

    def message(self, *words):
        self.add("message pool", self.draw.of((0, 0, 0, 0, 0, 0, 8, 100000)), *words)

    def create_thin(self):
        new = self.new_id()
        self.add("message pool 0", self.draw.of(("create_thin",) * 5 + ("CREATE_THIN",)), new)
        if isinstance(new, int) and new not in self.ids:
            self.ids.append(new)

    def create_snap(self):
        new, origin = self.new_id(), self.id_of_thin()
        self.add("message pool 0 create_snap", new, origin)
        if isinstance(new, int) and origin in self.ids and new not in self.ids:
            self.ids.append(new)

    def delete(self):
        old = self.id_of_thin()
        self.add("message pool 0 delete", old)
        if old in self.ids and self.draw.one_in(2):
            self.ids.remove(old)

    def set_transaction_id(self):
        current = self.transaction if not self.draw.one_in(4) else self.draw.of((7, "x", "-1"))
        new = self.draw.of((self.transaction + 1, 5, 18446744073709551615, 0, "y"))
        self.add("message pool 0 set_transaction_id", current, new)
        if current == self.transaction and isinstance(new, int):
            self.transaction = new

    def held_root(self):
        self.message(self.draw.of(("reserve_metadata_snap", "release_metadata_snap")))

    def odd_message(self):
        self.message(self.draw.of((
            "", "create_thin", "create_thin 1 2", "create_snap 1", "create_snap 1 2 3", "delete",
            "delete 1 2", "set_transaction_id 0", "set_transaction_id 0 1 2",
            "reserve_metadata_snap 1", "release_metadata_snap x", "no_such_message", "create_thin 01",
            "  create_thin   6 ", "Delete 6")))

    # --- Thins.

    def activate(self):
        name = f"t{self.draw.below(4)}"
        if self.draw.one_in(5) and self.thins:
            name = self.draw.of(sorted(self.thins))
        pages = self.draw.of((16, 24, 64, 100, 200))
        thin = self.id_of_thin()
        origin = " origin" if self.draw.one_in(5) and not self.skip_zeroing else ""
        table = f"0 {pages * PAGE_SECTORS} thin pool {thin}{origin}"
        if self.draw.one_in(10):
            table = self.draw.of((
                f"0 {pages * 8} thin", f"0 {pages * 8} thin pool", f"0 {pages * 8} thin nosuch 0",
                f"0 {pages * 8} thin md 0", f"0 {pages * 8} thin pool 0 origin 1",
                f"0 {pages * 8} thin pool 0 pool", f"0 {pages * 8} thin pool 0 nosuch",
                f"0 {pages * 8} thin spare 0", f"0 {pages * 8} thin pool 77",
                f"0 64 thin pool {thin}|64 {pages * 8} zero"))
        if name not in self.thins:
            self.add("create", name)
        self.add("load", name, table)
        if self.draw.one_in(10):
            self.look(name)
        self.add("resume", name)
        self.thins[name] = pages

    def a_thin(self):
        return self.draw.of(sorted(self.thins)) if self.thins else "t0"

    def deactivate(self):
        name = self.a_thin()
        self.add("remove", name)
        self.thins.pop(name, None)

    def range_of(self, name):
        pages, block = self.thins.get(name, 16), self.block // PAGE_SECTORS
        if self.draw.one_in(2):
            first = self.draw.below(max(1, pages // block)) * block
            return first, block * self.draw.of((1, 1, 1, 2))
        first = self.draw.below(pages)
        return first, self.draw.between(1, min(20, pages - first))

    def write(self):
        name = self.a_thin()
        first, count = self.range_of(name)
        if self.skip_zeroing:        # what else a new block holds is what its place has held before
            block = self.block // PAGE_SECTORS
            end = -(-(first + count) // block) * block
            first = first // block * block
            count = end - first
        self.tag = self.tag % 250 + 1
        self.add("write", name, first, count, self.tag)

    def read(self):
        name = self.a_thin()
        self.add("read", name, *self.range_of(name))

    def discard(self):
        name = self.a_thin()
        self.add("discard", name, *self.range_of(name))

    def flush(self):
        self.add("flush", self.a_thin())

    # --- Both.

    def look(self, name=None):
        name = name or self.draw.of(["pool", "pool", *sorted(self.thins), "md", "dd", "nosuch"])
        verb = self.draw.of(("status", "status", "table", "info"))
        self.add(verb, name)

    def look_at_uncommitted(self):
        self.add("status", self.draw.of(["pool", self.a_thin()]), "noflush")

    def suspend_a_while(self):
        name = self.draw.of(["pool", self.a_thin()])
        self.add("suspend", name, self.draw.of(("", "", "noflush")))
        for _ in range(self.draw.below(4)):
            self.step({"look": 4, "write": 1, "read": 1, "create_thin": 2, "create_snap": 2,
                       "activate": 1, "delete": 1})
        self.add("resume", name)

    def other_device(self):
        table = self.draw.of((
            "0 64 zero", "0 64 error", "0 64 linear spare 0", "0 64 linear spare 8191",
            "0 64 linear spare", "0 64 linear spare x", "0 64 linear spare 0 0", "0 64 zero 1",
            "0 64 error 1", "0 64 linear nosuch 0", "0 8 zero|8 8 error|16 48 linear spare 16",
            "0 8 zero|16 8 zero", "0 16 zero|8 8 zero", "8 8 zero", "0 64 no-such-target",
            "0 9000 linear spare 0", "0 64 linear spare -1",
            "0 64 error 0 0"))
        self.add("create other")
        self.add("load other", table)
        self.add("resume other")
        for verb in self.draw.some(("info", "status", "table", "clear", "suspend")):
            self.add(verb, "other")
        if self.draw.one_in(2):
            self.add("write other 0 2 9")
            self.add("read other 0 8")
            self.add("discard other 0 8")
        if self.draw.one_in(2):
            self.add("message other 0 anything")
        self.add("remove other")

    def odd_verb(self):
        name = self.draw.of(("pool", self.a_thin(), "md"))
        verb = self.draw.of(("remove", "clear", "create", "info", "resume"))
        self.add(verb, name if verb == "create" or not self.draw.one_in(4) else "nosuch")
        if self.actions[-1] == f"remove {name}" and name in self.thins:
            self.thins.pop(name)

    def rename(self):
        name = self.a_thin()
        new = f"t{self.draw.below(6)}"
        self.add("rename", name, new)
        if name in self.thins and new not in self.thins:
            self.thins[new] = self.thins.pop(name)

    def reopen(self):
        """Everything away and there again: what is on the disks is what counts."""
        for name in sorted(self.thins):
            self.add("remove", name)
        self.thins.clear()
        self.add("remove pool")
        self.add("create pool")
        self.add("load pool", self.pool_table())
        self.add("resume pool")
        self.add("status pool")

    def step(self, weights):
        getattr(self, self.draw.weighted(weights))()


WEIGHTS = {
    "create_thin": 10, "create_snap": 8, "delete": 4, "set_transaction_id": 2, "held_root": 3,
    "odd_message": 3, "activate": 14, "deactivate": 3, "write": 22, "read": 8, "discard": 10,
    "flush": 2, "look": 10, "look_at_uncommitted": 2, "suspend_a_while": 5, "reload_pool": 5,
    "grow_metadata": 1, "other_device": 1, "odd_verb": 3, "rename": 1, "reopen": 2,
}


def make(seed):
    maker = Maker(seed)
    maker.begin()
    maker.add("message pool 0 create_thin 0")
    maker.ids.append(0)
    maker.activate()
    weights = {name: weight for name, weight in WEIGHTS.items()
               if weight > 8 or not maker.draw.one_in(3)}     # a swarm: each leaves something out
    for _ in range(maker.draw.between(6, 30)):
        maker.step(weights)
    for name in sorted(maker.thins):
        maker.add("read", name, 0, maker.thins[name])
        maker.add("status", name)
        maker.add("info", name)
    for name in ("pool", "md", "dd"):
        for verb in ("status", "table", "info"):
            maker.add(verb, name)
    return Sequence(f"thin-{seed}", maker.actions)
