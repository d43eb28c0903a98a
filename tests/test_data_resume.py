"""A loader goes on where another one stopped, to the same batches."""

import ember
import pytest
from data_support import Squares, Stream, plain, tensors
from ember.utils import data

RESUMABLE = {
    "sequential": lambda d: data.DataLoader(d, batch_size=4),
    "shuffled": lambda d: data.DataLoader(d, batch_size=4, shuffle=True),
    "own generator": lambda d: data.DataLoader(d, batch_size=4, shuffle=True, generator=seeded(3)),
    "workers": lambda d: data.DataLoader(d, batch_size=4, shuffle=True, num_workers=2),
    "persistent": lambda d: data.DataLoader(
        d, batch_size=4, shuffle=True, num_workers=2, persistent_workers=True
    ),
    "sampler": lambda d: data.DataLoader(
        d, batch_size=4, sampler=data.SubsetRandomSampler(range(15))
    ),
    "sampler's generator": lambda d: data.DataLoader(
        d, batch_size=4, sampler=data.RandomSampler(d, generator=seeded(1))
    ),
    "replacement": lambda d: data.DataLoader(
        d,
        batch_size=4,
        sampler=data.RandomSampler(d, replacement=True, num_samples=90, generator=seeded(4)),
    ),
    "batch sampler": lambda d: data.DataLoader(
        d, batch_sampler=data.BatchSampler(data.RandomSampler(d), 3, True)
    ),
    "items": lambda d: data.DataLoader(d, batch_size=None, shuffle=True),
}


def seeded(seed):
    generator = ember.Generator()
    generator.manual_seed(seed)
    return generator


@pytest.mark.parametrize("name", RESUMABLE)
@pytest.mark.parametrize("kind", ["tensors", "items"])
@pytest.mark.parametrize("at", [0, 1, 3, 5, 6, 9, 17])
def test_resume_gives_what_an_unbroken_run_gives(name, kind, at, tmp_path):
    dataset = tensors()[0] if kind == "tensors" else Squares(23)
    ember.manual_seed(0)
    loader = RESUMABLE[name](dataset)
    whole, state, count = [], None, 0
    if at == 0:
        state = loader.state_dict(), ember.get_rng_state()
    while len(whole) < 70:
        for batch in loader:
            whole.append((plain(batch), ember.rand(2).tolist()))
            count += 1
            if count == at:
                state = loader.state_dict(), ember.get_rng_state()

    ember.save(state, tmp_path / "state.pt")
    ember.manual_seed(999)
    again = RESUMABLE[name](dataset)
    loader_state, rng_state = ember.load(tmp_path / "state.pt")
    again.load_state_dict(loader_state)
    ember.set_rng_state(rng_state)
    resumed = []
    for _ in range(30):  # the rest of the epoch may be empty
        if len(resumed) < len(whole) - at:
            resumed += [(plain(batch), ember.rand(2).tolist()) for batch in again]
    assert resumed == whole[at:]


def test_resume_between_epochs_and_twice():
    ember.manual_seed(0)
    make = RESUMABLE["own generator"]
    loader = make(tensors()[0])
    first = [plain(b) for b in loader]
    state = loader.state_dict()
    assert state["batches"] is None
    second = [plain(b) for b in loader]
    assert first != second

    other = make(tensors()[0])
    other.load_state_dict(state)
    assert other.state_dict()["batches"] is None
    iterator = iter(other)
    assert [plain(next(iterator)) for _ in range(2)] == second[:2]
    middle = other.state_dict()
    third = make(tensors()[0])
    third.load_state_dict(middle)
    assert third.state_dict()["batches"] == 2
    iterator = iter(third)
    assert plain(next(iterator)) == second[2]
    fourth = make(tensors()[0])
    fourth.load_state_dict(third.state_dict())
    assert [plain(b) for b in fourth] == second[3:]


def test_resume_does_not_fetch_again():
    fetched = []

    class Watch(Squares):
        def __getitem__(self, i):
            fetched.append(i)
            return i

    loader = data.DataLoader(Watch(10), batch_size=2)
    state = {"batches": 3, "generators": [ember.get_rng_state()], "base_seed": None}
    loader.load_state_dict(state)
    assert [b.tolist() for b in loader] == [[6, 7], [8, 9]] and fetched == [6, 7, 8, 9]
    with pytest.raises(ValueError, match="generators"):
        loader.load_state_dict(state | {"generators": []})


@pytest.mark.parametrize("workers", [0, 2])
def test_streams_resume(workers):
    make = lambda: data.DataLoader(Stream(17), batch_size=3, num_workers=workers)  # noqa: E731
    loader = make()
    whole = [b.tolist() for b in loader]
    iterator = iter(loader)
    next(iterator), next(iterator)
    other = make()
    other.load_state_dict(loader.state_dict())
    assert [b.tolist() for b in other] == whole[2:]
    assert [b.tolist() for b in other] == whole
