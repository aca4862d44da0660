"""Results on file systems that lack permissions, syncing or locks: USB sticks and network shares."""

import errno
import os

import filelock
import pytest
import torch
from safetensors.torch import save_file

from anonlab.errors import OutputNotWritable
from anonlab.files import LOCK, atomic_path, folder_lock


def failing(number: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("call", "number", "written"),
    [
        ("fsync", errno.EINVAL, True),
        ("fsync", errno.ENOSYS, True),
        ("fsync", errno.ENOSPC, False),  # a full disk
        ("fsync", errno.EIO, False),  # a broken one
        ("replace", errno.EPERM, False),
    ],
)
def test_what_a_file_system_lacks_costs_no_result(tmp_path, monkeypatch, call, number, written):
    monkeypatch.setattr(os, call, failing(number))

    def write() -> None:
        with atomic_path(tmp_path / "a.txt") as partial:
            partial.write_text("whole")

    if written:
        write()
        assert (tmp_path / "a.txt").read_text() == "whole"
    else:
        with pytest.raises(OutputNotWritable, match=r"a\.txt cannot be written"):
            write()
    assert {path.name for path in tmp_path.iterdir()} == ({"a.txt"} if written else set())


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(errno.ENOLCK, "no locks")])
def test_without_locks_the_work_goes_on(tmp_path, monkeypatch, error):
    def fail(self: filelock.FileLock) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    with folder_lock(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_a_file_has_the_rights_of_every_new_file(tmp_path):
    with atomic_path(tmp_path / "weights.safetensors") as partial:
        save_file({"ws": torch.zeros(1)}, partial)  # itself gives rights to the owner only
    (tmp_path / "plain").touch()
    rights = [(tmp_path / name).stat().st_mode for name in ("weights.safetensors", "plain")]
    assert rights[0] == rights[1]
