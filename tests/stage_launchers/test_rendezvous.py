import pytest

from stage_launchers import Rendezvous, RendezvousError, rendezvous

COMPLETE = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node7", "MASTER_PORT": "29501"}


def test_complete_environment_is_taken_as_it_is() -> None:
    assert rendezvous(dict(COMPLETE)) == Rendezvous(1, 4, 1, "node7", 29501)


def test_alone_fills_in_all_five_variables() -> None:
    env: dict[str, str] = {}
    assert rendezvous(env).world_size == 1
    assert set(env) == set(COMPLETE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MASTER_PORT": None}, "MASTER_PORT missing"),
        ({"RANK": "one"}, "RANK='one'"),
        ({"RANK": "4"}, "RANK=4 is not below WORLD_SIZE=4"),
    ],
)
def test_contradictions_are_named(change: dict[str, str | None], message: str) -> None:
    env = {name: value for name, value in {**COMPLETE, **change}.items() if value is not None}
    with pytest.raises(RendezvousError, match=message):
        rendezvous(env)
