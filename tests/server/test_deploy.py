"""The files of deploy/: every command in them is one of ours, and what reads them accepts them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError

import pytest
import typer

from seehear.cli import main
from seehear.cli.app import make_app
from seehear.server import run
from tests.server.conftest import PATIENCE_S, until

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TOKEN = "a token of many characters"
NAME = "media.example.org"


def options_of(arguments: Sequence[str]) -> dict[str, Any]:
    """What a command line of ours means; fails where it has an option that there is not."""
    commands: dict[str, Any] = dict(typer.main.get_group(make_app()).commands)
    command = commands[arguments[0]]
    parsed: dict[str, Any] = command.make_context(arguments[0], list(arguments[1:])).params
    return parsed


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, lines joined and comments left out."""
    lines = [line for line in dockerfile.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in joined.splitlines()]


def test_the_image_is_made_of_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    made = instructions((DEPLOY / "Dockerfile").read_text())
    targets = {rest.split()[-1] for word, rest in made if word == "FROM"}
    assert {"cpu", "cuda"} <= targets
    assert [rest for word, rest in made if word == "USER"] == ["seehear", "seehear"]
    defaults = dict(rest.split("=", 1) for word, rest in made if word == "ARG")
    for word, rest in made:
        if word == "COPY":
            assert all((ROOT / name).exists() for name in rest.split()[:-1]), rest
        if word == "CMD" or "CMD" in rest:
            command = json.loads(rest[rest.index("[") :])
            if word == "CMD":
                assert options_of(command)["host"] == "0.0.0.0"
                assert options_of(command)["create"]  # the volume is empty at the first start
            else:
                compile(command[command.index("-c") + 1], "HEALTHCHECK", "exec")
        installed = rest.partition("pip install")[2]
        if installed:  # from the lock, by hash
            assert "--require-hashes" in installed or "--constraint" in installed
        installed = installed.replace("${EXTRAS}", defaults["EXTRAS"])
        for wanted in re.findall(r"""['"]([^'"]+)['"]""", installed):
            assert wanted.startswith(".["), wanted
            assert set(wanted[2:-1].split(",")) <= set(project["optional-dependencies"])


def test_the_composition_serves() -> None:
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["seehear"]
    options = options_of(service["command"])
    assert [Path(root) for root in options["root"]] == [Path("/media")]
    assert str(options["token_file"]) == "/run/secrets/seehear_token"
    assert service["build"]["target"] == "cpu"
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["read_only"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_cluster_is_made_of_what_there_is() -> None:
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((DEPLOY / "cluster" / "compose.yaml").read_text())["services"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    for name in ("seehear", "index", "ray-head", "ray-worker"):
        build = services[name]["build"]
        assert (DEPLOY / "cluster" / build["context"] / build["dockerfile"]).is_file()
        assert {"ray", "postgres"} <= set(build["args"]["EXTRAS"].split(",")) <= extras
    serves, index = (options_of(services[name]["command"]) for name in ("seehear", "index"))
    assert serves["behind_proxy"]
    host, port = index["on"].removeprefix("ray://").split(":")
    assert f"--ray-client-server-port={port}" in services[host]["entrypoint"]
    assert services["ray-worker"]["volumes"] == services["index"]["volumes"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_balancer_is_accepted() -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("no caddy on this machine")
    file = DEPLOY / "cluster" / "Caddyfile"
    done = subprocess.run(
        [caddy, "validate", "--adapter", "caddyfile", "--config", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_unit_serves(tmp_path: Path) -> None:
    unit = (DEPLOY / "seehear.service").read_text()
    found = re.search(r"ExecStart=(.*)", unit.replace("\\\n", " "))
    assert found is not None
    program, *arguments = shlex.split(found[1])
    options = options_of(arguments)
    assert options["behind_proxy"]
    assert list(options["name"]) == [NAME]
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd-analyze on this machine")
    copy = tmp_path / "seehear.service"
    copy.write_text(unit.replace(program, sys.executable))
    done = subprocess.run(
        [verify, "verify", str(copy)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def seehear_serves(*arguments: str) -> Iterator[str]:
    """`seehear serve` as a process, ready; gives its address, and sees it end without complaint."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seehear", "serve", "--create", "--device", "cpu", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        found = re.search(r"http://[\d.]+:\d+", said)
        assert found is not None, said
        address = found[0]

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"{address}/readyz", timeout=PATIENCE_S):
                    return True
            except (URLError, ConnectionError):
                return False

        until(ready)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=PATIENCE_S)[1]
    assert (process.returncode, rest) == (0, "")


class Proxied(NamedTuple):
    """The service behind nginx, spoken to as a browser would."""

    port: int
    trust: ssl.SSLContext

    def ask(
        self, path: str, *, cookie: str = "", body: bytes | None = None, kind: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", body)
        request.add_header("Host", NAME)
        for name, value in (("Cookie", cookie), ("Content-Type", kind)):
            if value:
                request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S, context=self.trust) as answer:
                return answer.status, lowered(answer.headers), answer.read()
        except HTTPError as error:
            with error:
                return error.code, lowered(error.headers), error.read()


def lowered(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.fixture
def proxied(collection_folder: Path, media_folder: Path, tmp_path: Path) -> Iterator[Proxied]:
    """`seehear serve` as the docs say behind a proxy, and nginx with our site before it."""
    nginx, openssl = shutil.which("nginx"), shutil.which("openssl")
    if nginx is None or openssl is None:
        pytest.skip("no nginx or no openssl on this machine")
    subprocess.run(
        [
            *f"{openssl} req -x509 -newkey rsa:2048 -nodes -subj /CN={NAME}".split(),
            *f"-keyout {tmp_path}/key.pem -out {tmp_path}/cert.pem".split(),
            *f"-addext subjectAltName=DNS:{NAME},IP:127.0.0.1".split(),
        ],
        check=True,
        capture_output=True,
    )
    (tmp_path / "token").write_text(TOKEN + "\n")
    arguments = ["--port", "0", "--collection", str(collection_folder), "--root", str(media_folder)]
    arguments += ["--token-file", str(tmp_path / "token"), "--name", NAME, "--behind-proxy"]
    with seehear_serves(*arguments) as address:
        port = free_port()
        site = (DEPLOY / "nginx.conf").read_text()
        for ours, theirs in (
            ("listen 443", f"listen 127.0.0.1:{port}"),
            ("listen [::]:443", f"listen [::1]:{port}"),
            (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(tmp_path / "cert.pem")),
            (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(tmp_path / "key.pem")),
            ("http://127.0.0.1:8000", address),
        ):
            assert ours in site
            site = site.replace(ours, theirs)
        site = re.sub(r"^ *listen \[::1\].*\n", "", site, flags=re.MULTILINE)
        folders = "".join(
            f"{name}_temp_path {tmp_path}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/errors;\n"
            f"events {{}}\nhttp {{ access_log off; {folders}\n{site}\n}}\n"
        )
        process = subprocess.Popen(
            [nginx, *f"-p {tmp_path} -e {tmp_path}/errors -c {tmp_path}/nginx.conf".split()]
        )
        trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        served = Proxied(port, trust)

        def answers() -> bool:
            assert process.poll() is None, (tmp_path / "errors").read_text()
            try:
                return served.ask("/healthz")[0] == 200
            except URLError:
                return False

        try:
            until(answers)
            yield served
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def test_behind_nginx_as_the_docs_say(proxied: Proxied) -> None:
    assert proxied.ask("/v1/status")[0] == 401
    sign_in = json.dumps({"token": TOKEN}).encode()
    status, headers, _ = proxied.ask("/v1/session", body=sign_in, kind="application/json")
    assert status == 200
    assert "Secure" in headers["set-cookie"]  # it believes the proxy about https
    assert headers["strict-transport-security"]
    cookie = headers["set-cookie"].partition(";")[0]
    assert proxied.ask("/v1/status", cookie=cookie)[0] == 200
    asked = json.dumps({"text": "red"}).encode()
    status, _, answer = proxied.ask(
        "/v1/search", cookie=cookie, body=asked, kind="application/json"
    )
    assert status == 200
    assert json.loads(answer)["hits"]
    status, _, begun = proxied.ask("/v1/index", cookie=cookie, body=b"{}", kind="application/json")
    assert status == 202
    status, headers, events = proxied.ask(
        f"/v1/index/{json.loads(begun)['id']}/events", cookie=cookie
    )
    assert headers["content-type"].startswith("text/event-stream")
    assert b"event: done" in events
    assert proxied.ask("/metrics", cookie=cookie)[0] == 403
    assert proxied.ask("/v1/search", cookie=cookie, body=bytes(65 << 20))[0] == 413


def test_answers_are_sent_at_once() -> None:
    """asyncio sets TCP_NODELAY on connections of sockets that name their protocol, and no other:
    without it an answer of two pieces waits for the acknowledgement of the first."""
    with run._bound("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_caddy_accepts_its_file() -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("no caddy on this machine")
    done = subprocess.run(
        [caddy, "validate", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_command_says_in_a_line_why_it_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, status, reason in (
            (["--host", "0.0.0.0"], 2, "a token is needed"),
            (
                ["--port", port],
                1,
                f"cannot listen on 127.0.0.1 port {port}: Address already in use",
            ),
            (["--token-file", str(tmp_path / "none")], 2, "No such file"),
            (["--root", str(tmp_path / "none")], 2, "is not a folder"),
        ):
            where = ["--create", "--collection", str(tmp_path / "c")]
            monkeypatch.setattr(sys, "argv", ["seehear", "serve", *arguments, *where])
            with pytest.raises(SystemExit) as left:
                main()
            said = capsys.readouterr().err
            assert left.value.code == status, said
            assert len(said.splitlines()) == 1
            assert reason in said
