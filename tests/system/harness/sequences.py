"""What an operator may do, drawn from a seed. Each family has a module of its own."""

import dataclasses
import random


@dataclasses.dataclass
class Sequence:
    name: str
    actions: list            # as same_answers_tool.cc takes them
    settings: dict = dataclasses.field(default_factory=dict)

    def without(self, indices):
        return dataclasses.replace(
            self, actions=[a for i, a in enumerate(self.actions) if i not in indices])


class Draw:
    """Choices from a seed; only of what every Python draws alike."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def below(self, count):
        return int(self._random.random() * count)

    def between(self, least, most):
        return least + self.below(most - least + 1)

    def one_in(self, count):
        return self.below(count) == 0

    def of(self, choices):
        return choices[self.below(len(choices))]

    def some(self, choices):
        return [choice for choice in choices if self.one_in(3)]

    def weighted(self, weights):
        """A key of {key: weight}."""
        at = self.below(sum(weights.values()))
        for key, weight in weights.items():
            at -= weight
            if at < 0:
                return key
        raise AssertionError("no weights")
