from sidecar.demo.hints import hints


def test_the_demo_says_that_it_is_simulated_and_what_to_open_and_try() -> None:
    told = hints("http://127.0.0.1:8765", "http://0.0.0.0:9765")

    assert "simulated" in told
    assert "open http://127.0.0.1:9765/\n" in told
    assert "curl -N http://127.0.0.1:8765'/mc/stream?set=popular'" in told
    assert told.endswith(" -m sidecar top --once\n")


def test_other_ports_and_a_unix_socket_are_named() -> None:
    told = hints("unix:/run/mc.sock", "http://[::]:9000")

    assert "curl -N --unix-socket /run/mc.sock http://localhost'/mc/stream?set=popular'" in told
    assert "-m sidecar top --once --ops-port 9000" in told
