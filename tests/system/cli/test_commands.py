import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.arguments import FLAGS
from sidecar.runtime.version import __version__
from tests.system.cli.process import FREE_PORTS, run, started


async def test_check_config_says_that_the_settings_are_good(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("api: {port: 9000}\n")

    for arguments in (("check-config", "--config", str(file)), ("--config", str(file), "check-config")):
        code, output, errors = await run(*arguments)
        assert (code, errors) == (0, [])
        assert output == "the settings are good; 11 popular tokens from the built-in list\n"
    code, output, _ = await run("check-config")
    assert code == 0
    assert output.startswith("without --config or $MC_SIDECAR_CONFIG: the built-in settings are good; 11 popular")


async def test_a_snapshot_in_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    flag = f"--snapshot-path={tmp_path}/none/snapshot"
    text = f"snapshot.path: there is no folder {tmp_path}/none, so no snapshot can be written"
    code, _, errors = await run("check-config", flag)
    assert (code, errors) == (0, [f"mc-sidecar: {text}"])
    async with started("demo", *FREE_PORTS, flag) as process:
        assert (await process.until(text))["level"] == "warning"
    assert (await run("check-config", f"--snapshot-path={tmp_path}/snapshot"))[2] == []


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("wait", {"--help", "--timeout", "--warm", "--config", "--ops-port"}),
        ("healthcheck", {"--help", "--config", "--ops-port"}),
        ("top", {"--help", "--once", "--config", "--ops-port"}),
        ("demo", {"--help", "--seed", "--tokens", "--redis-url", *(flag.flag for flag in FLAGS)}),
    ],
)
async def test_the_help_of_a_command_lists_the_flags_that_do_something_for_it(
    command: str, flags: set[str]
) -> None:
    code, output, _ = await run(command, "--help")
    assert code == 0
    assert set(re.findall(r"--[a-z-]+", output.partition("options:")[2])) == flags


@pytest.mark.parametrize("command", ["check-config", "serve", "demo"])
async def test_every_mistake_is_a_line_and_the_exit_code_is_2(tmp_path: Path, command: str) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("api: {port: 70000, colour: red}\nrefresh: {popular_seconds: soon}\n")
    code, output, errors = await run(command, "--config", str(file), "--log-level", "loud")

    assert (code, output) == (2, "")
    assert sorted(line.split(":")[1].strip() for line in errors) == [
        *("api.colour", "api.port", "log.level", "refresh.popular_seconds")
    ]
    assert all(line.startswith("mc-sidecar: ") for line in errors)


async def test_a_bad_popular_list_stops_check_config_but_not_the_start(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("{}")
    (tmp_path / "popular.yaml").write_text("tokens: [{mint: abc, symbol: ABC}]")
    code, _, errors = await run("check-config", "--config", str(file))
    assert (code, len(errors)) == (2, 1)
    assert errors[0].endswith("tokens[0].mint: must be a mint (base58 of 32 bytes), not 'abc'")
    async with started("demo", *FREE_PORTS, "--config", str(file)) as process:
        await process.listening()
        assert await process.end(signal.SIGTERM) == 0
    assert [line["in_force"] for line in process.log if line["level"] == "error"] == ["built in"]


async def test_a_missing_settings_file_is_a_mistake(tmp_path: Path) -> None:
    code, _, errors = await run("check-config", "--config", str(tmp_path / "none.yaml"))
    assert (code, len(errors)) == (2, 1)
    assert "none.yaml" in errors[0]


@pytest.mark.parametrize(("flag", "section"), [("--api-port", "api"), ("--ops-port", "ops")])
async def test_a_taken_port_is_a_mistake(flag: str, section: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = await run("serve", *FREE_PORTS, flag, str(port))

    assert code == 2
    assert [line for line in errors if not line.startswith("{")] == [
        f"mc-sidecar: {section}.port: must be a free port, {port} is taken"
    ]


async def test_flags_beat_the_file_before_the_command_and_after_it(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("api: {port: 1}\nlog: {level: debug}\n")
    for arguments in (("--api-port", "zero", "check-config"), ("check-config", "--api-port", "zero")):
        code, _, errors = await run("--config", str(file), *arguments)
        assert (code, len(errors)) == (2, 1)
        assert "api.port" in errors[0]
        assert "zero" in errors[0]


async def test_the_environment_names_the_settings_and_the_flag_beats_it(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text("colour: red\n")
    good.write_text("{}\n")
    environment = {"MC_SIDECAR_CONFIG": str(bad)}

    assert (await run("check-config", environment=environment))[0] == 2
    assert (await run("check-config", "--config", str(good), environment=environment))[0] == 0


async def test_an_address_that_others_can_reach_needs_the_flag(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text('api: {host: "192.0.2.1"}\n')

    code, _, errors = await run("check-config", "--config", str(file))
    assert (code, len(errors)) == (2, 1)
    assert "allow_non_loopback" in errors[0]
    assert (await run("check-config", "--config", str(file), "--allow-non-loopback"))[0] == 0


async def test_the_version_and_unknown_arguments() -> None:
    assert await run("--version") == (0, f"mc-sidecar {__version__}\n", [])
    assert (await run("fly"))[0] == 2


async def test_wait_and_healthcheck_find_the_running_sidecar_by_its_port(tmp_path: Path) -> None:
    async with started("demo", *FREE_PORTS) as process:
        _, ops = await process.listening()
        port = ops.rpartition(":")[2]
        assert (await run("wait", "--timeout", "15", "--ops-port", port))[0] == 0
        assert await run("--ops-port", port, "healthcheck") == (0, "", [])
        file = tmp_path / "sidecar.yaml"
        file.write_text(f"ops: {{port: {port}}}\n")
        (tmp_path / "popular.yaml").write_text("tokens: broken while it runs\n")
        assert await run("healthcheck", "--config", str(file)) == (0, "", [])
        process.child.kill()
        await process.child.wait()
        assert (await run("healthcheck", "--ops-port", port))[0] == 1
        assert (await run("wait", "--timeout", "0.1", "--ops-port", port))[0] == 1


@pytest.mark.parametrize("module", ["sidecar.cli", "sidecar.web.probe_client"])
def test_commands_that_do_not_serve_do_without_the_web_framework(module: str) -> None:
    heavy = {"aiohttp", "uvloop", "structlog", "prometheus_client"}
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout == "[]\n"
