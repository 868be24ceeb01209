"""What takes part, and how each is started on the server's core."""

import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.load import redis_command
from bench.processes import SERVER_CORE, Process, python, wait_for, wait_for_port

APT = {"nginx": "nginx-light", "varnishd": "varnish", "redis-server": "redis-server"}
"""Debian's packages of the contestants that are not Python."""

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/temp; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache keys_zone=market:10m max_size=100m;
  upstream sidecar {{ server 127.0.0.1:{sidecar_port}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    location /mc/ {{
      proxy_pass http://sidecar;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;
      proxy_cache market; proxy_cache_lock on;
      proxy_cache_use_stale updating error timeout; proxy_cache_background_update on;
    }}
  }}
}}
"""

VARNISH = """
vcl 4.1;
backend sidecar {{ .host = "127.0.0.1"; .port = "{sidecar_port}"; }}
sub vcl_recv {{ return (hash); }}
sub vcl_backend_fetch {{ unset bereq.http.X-Forwarded-For; set bereq.http.Host = "localhost"; }}
sub vcl_backend_response {{ set beresp.ttl = 60s; set beresp.grace = 1h; }}
"""


class Contestant(NamedTuple):
    """A running server that answers `GET /mc/{mint}`, or Redis' `GET /mc/{mint}`."""

    name: str
    process: Process
    port: int
    protocol: str = "http"


def start_python(name: str, module: str, port: int, rest: Sequence[str], stack: ExitStack) -> Contestant:
    """Start one of `bench.servers`; `rest` are DexScreener's URL and how many bytes a bare one returns."""
    arguments = python("-m", "bench.servers", module, str(port), *rest)
    return _started(name, arguments, port, stack)


def start_sidecar(
    name: str, settings: Path, port: int, stack: ExitStack, interpreter: str = sys.executable
) -> Contestant:
    """Start mc-sidecar; its log goes to a file beside its settings."""
    log = stack.enter_context(settings.with_suffix(".log").open("w"))
    arguments = [interpreter, "-m", "sidecar", "serve", "--config", str(settings)]
    process = Process(arguments, SERVER_CORE, stderr=log)
    stack.callback(process.stop)
    wait_for(f"http://127.0.0.1:{port}/stats", process)
    return Contestant(name, process, port)


def start_nginx(port: int, sidecar_port: int, folder: Path, stack: ExitStack) -> Contestant:
    """Start nginx with proxy_cache in front of a sidecar: it keeps the very same answers."""
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, port=port, sidecar_port=sidecar_port))
    arguments = [_program("nginx"), "-p", str(folder), "-e", "/dev/null", "-c", str(settings)]
    return _started("nginx proxy_cache", arguments, port, stack)


def start_redis(port: int, bodies: Mapping[str, bytes], stack: ExitStack) -> Contestant:
    """Start Redis with the very same answers as values, by path: what a store of its own costs at least."""
    arguments = [_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = Process(arguments, SERVER_CORE)
    stack.callback(process.stop)
    wait_for_port(port, process)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for path, body in bodies.items():
            connection.sendall(redis_command(b"SET", path.encode(), body))
            if connection.recv(64) != b"+OK\r\n":
                raise ConnectionError(path)
    return Contestant("redis GET", process, port, "redis")


def start_varnish(port: int, sidecar_port: int, folder: Path, stack: ExitStack) -> Contestant:
    """Start Varnish in front of a sidecar."""
    settings = folder / "sidecar.vcl"
    settings.write_text(VARNISH.format(sidecar_port=sidecar_port))
    arguments = [_program("varnishd"), "-F", "-a", f"127.0.0.1:{port}", "-f", str(settings)]
    arguments += ["-n", str(folder / "varnish"), "-s", "default,100m"]
    return _started("Varnish", arguments, port, stack)


def missing() -> Mapping[str, str]:
    """Return the programs that are not installed, with the package that has each."""
    return {program: package for program, package in APT.items() if _found(program) is None}


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def _program(program: str) -> str:
    found = _found(program)
    if found is None:
        raise FileNotFoundError(program)
    return found


def _started(name: str, arguments: list[str], port: int, stack: ExitStack) -> Contestant:
    process = Process(arguments, SERVER_CORE)
    stack.callback(process.stop)
    wait_for(f"http://127.0.0.1:{port}/mc/{JUP}", process)
    return Contestant(name, process, port)


JUP = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
"""The token that is asked for: popular, so in every contestant's memory."""
