"""The keyring of Linux desktops, for real: a Secret Service of GNOME on a bus of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.core.errors import ErrorKind, UserError
from app.hub import secret_store
from app.hub.secret_store import SecretStore

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")
BUS = """<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>"""
WAIT_S = 20
PROXY = "proxy http://me@proxy:8080"

pytestmark = pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason=f"needs {' and '.join(PROGRAMS)}")


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """The unlocked keyring of a person who has just logged in."""
    import secretstorage

    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "bus.conf").write_text(BUS.format(socket=tmp_path / "run/bus"), "utf-8")
    for name, folder in {"HOME": "home", "XDG_DATA_HOME": "home", "XDG_RUNTIME_DIR": "run"}.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path / 'run/bus'}")
    bus = subprocess.Popen(["dbus-daemon", "--nofork", f"--config-file={tmp_path / 'bus.conf'}"])
    arguments = ["gnome-keyring-daemon", "--unlock", "--components=secrets", "--foreground"]
    ends_at = time.monotonic() + WAIT_S
    while not (tmp_path / "run/bus").exists() and time.monotonic() < ends_at:
        time.sleep(0.02)
    keyring = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert keyring.stdin is not None
    keyring.stdin.write(b"the password of the keyring")
    keyring.stdin.close()
    with closing(secretstorage.dbus_init()) as connection:
        while not secretstorage.check_service_availability(connection) and time.monotonic() < ends_at:
            time.sleep(0.02)
    yield keyring
    for process in (keyring, bus):
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(WAIT_S)


@pytest.fixture
def open_store(daemon: object) -> type[SecretStore]:
    """Opens the store as a start of Hearth does."""
    from keyring.backends.SecretService import Keyring

    class Opened(SecretStore):
        def __init__(self) -> None:
            super().__init__(Keyring)

    return Opened


def lock() -> None:
    import secretstorage

    with closing(secretstorage.dbus_init()) as connection:
        secretstorage.get_default_collection(connection).lock()


def reason_of(store: SecretStore) -> str:
    with pytest.raises(UserError) as raised:
        store.secret(PROXY)
    assert raised.value.kind is ErrorKind.KEYRING_CLOSED
    return raised.value.string("reason")


def test_secrets_are_kept_found_and_taken_out(open_store: type[SecretStore], tmp_path: Path) -> None:
    open_store().keep(PROXY, "s3cret@/ü")
    open_store().keep("https://huggingface.co", "hf_a")
    later = open_store()
    assert (later.secret(PROXY), later.secret("https://huggingface.co")) == ("s3cret@/ü", "hf_a")
    later.take_out(PROXY)
    later.forget("https://huggingface.co")
    later.forget("https://mirror.example")
    assert open_store().secret(PROXY) is None
    assert not any(b"s3cret" in file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # keyring leaves its connection open
def test_a_locked_keyring_that_is_not_opened(open_store: type[SecretStore]) -> None:
    """Nothing can ask the person here, which the daemon takes for a refusal."""
    open_store().keep(PROXY, "s3cret")
    lock()
    assert reason_of(open_store()) == "locked"
    with pytest.raises(UserError) as raised:
        open_store().keep(PROXY, "new")
    assert raised.value == UserError(ErrorKind.NO_KEYRING, reason="locked")


def test_a_keyring_that_hangs(
    open_store: type[SecretStore], daemon: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store().keep(PROXY, "s3cret")
    monkeypatch.setattr(secret_store, "READ_LIMIT_S", 0.2)
    monkeypatch.setattr(secret_store, "WRITE_LIMIT_S", 0.2)
    store = open_store()
    daemon.send_signal(signal.SIGSTOP)
    assert reason_of(store) == "timeout"
    with pytest.raises(UserError) as raised:
        open_store().keep("https://huggingface.co", "hf_a")
    assert raised.value.string("reason") == "timeout"
    daemon.send_signal(signal.SIGCONT)
    monkeypatch.setattr(secret_store, "WRITE_LIMIT_S", WAIT_S)
    store.ask_again()
    assert store.secret(PROXY) == "s3cret"
