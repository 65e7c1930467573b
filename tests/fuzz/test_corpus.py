"""Everything that was ever found, once more: each entry does what its name says, and breaks no law."""

from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS

ENTRIES = list(corpus.everything())


@pytest.mark.parametrize(("target", "path"), ENTRIES, ids=[f"{target}/{path.name}" for target, path in ENTRIES])
def test_an_entry_does_what_its_name_says(target: str, path: Path) -> None:
    words = TARGETS[target](path.read_bytes())
    assert corpus.title(words) == path.stem, "if it was meant: `python -m tests.fuzz rename`"


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_entries_and_all_are_small(target: str) -> None:
    sizes = [path.stat().st_size for path in corpus.entries(target)]
    assert sizes
    assert max(sizes) <= corpus.ENTRY_BYTES_MAX


def test_no_folder_of_the_corpus_is_forgotten() -> None:
    assert {folder.name for folder in corpus.ROOT.iterdir() if folder.is_dir()} == set(TARGETS)


REFUSALS = {
    "receiver": {"bad_frame", "frame_too_large", "bad_message", "out_of_turn", "gap", "window_exceeded"}
    | {"handshake_timeout", "frame_timeout"},
    "sender": {"bad_frame", "frame_too_large", "bad_message", "out_of_turn", "bad_ack", "version_unsupported"}
    | {"frame_timeout"},
}


@pytest.mark.parametrize(("target", "codes"), REFUSALS.items())
def test_the_corpus_reaches_every_state_and_every_refusal_of_a_role(target: str, codes: set[str]) -> None:
    names = [path.stem.split(".") for path in corpus.entries(target)]
    own = {"new"} if target == "receiver" else set()
    assert {name[0] for name in names} >= {"greeted", "streaming", "finishing"} | own
    assert {word for name in names for word in name} >= codes
