"""godwitctl on a Redis store: what it writes is served and what others wrote stays."""

import time

import pytest

import godwit
from godwit import GrpcClient
from redis_server import ctl, server, start_redis, wait_answers, wait_rcode


# --- godwitctl ------------------------------------------------------------------------------------

def test_godwitctl_writes_and_the_backend_serves(tmp_path, start_redis, start_backend):
    server = start_redis()
    ctl(server.url, "init")
    backend = start_backend(server.url).wait_ready()
    zone = tmp_path / "zone"
    zone.write_text(godwit.DEMO_ZONE)
    with GrpcClient(backend.address) as client:
        ctl(server.url, "zone", "import", zone)
        wait_answers(client, "www.example.com", ["192.0.2.80"])
        assert server.client.hgetall("dns:ns1.example.com") == {"A": "192.0.2.1", "ttl": "300"}
        ctl(server.url, "record", "add", "www.example.com", "A", "192.0.2.81")
        wait_answers(client, "www.example.com", ["192.0.2.80", "192.0.2.81"])
        ctl(server.url, "record", "set", "www.example.com", "TXT", '"hello"', "--ttl", "5")
        wait_answers(client, "www.example.com", ['"hello"'], "TXT")
        assert server.client.hget("dns:www.example.com", "ttl.TXT") == "5"
        ctl(server.url, "record", "delete", "www.example.com", "A")
        ctl(server.url, "record", "delete", "www.example.com", "AAAA")
        ctl(server.url, "record", "delete", "www.example.com", "TXT")
        wait_rcode(client, "www.example.com", "NXDOMAIN")
        assert not server.client.exists("dns:www.example.com")
        exported = ctl(server.url, "zone", "export", "example.com").stdout
        ctl(server.url, "zone", "delete", "example.com")
        wait_rcode(client, "mail.example.com", "REFUSED")
        assert server.client.dbsize() == 0
        zone.write_text(exported)
        ctl(server.url, "zone", "import", zone)
        wait_answers(client, "mail.example.com", ["192.0.2.3"])
        assert ctl(server.url, "zone", "export", "example.com").stdout == exported


def test_replacing_a_zone_writes_only_what_differs(tmp_path, server):
    zone = tmp_path / "zone"
    zone.write_text(ctl(server.url, "zone", "export", "example.com").stdout)
    before = server.client.info()["total_net_input_bytes"]
    ctl(server.url, "zone", "import", zone, "--replace")
    assert server.client.hgetall("dns:www.example.com") == {"A": "192.0.2.80", "ttl": "60"}
    zone.write_text(zone.read_text().replace("192.0.2.80", "192.0.2.81") + "new A 192.0.2.9\n")
    ctl(server.url, "zone", "import", zone, "--replace")
    assert server.client.hget("dns:www.example.com", "A") == "192.0.2.81"
    assert server.client.hget("dns:new.example.com", "A") == "192.0.2.9"
    assert server.client.info()["total_net_input_bytes"] - before < 10000


def test_deleting_a_zone_leaves_its_child_zone(server):
    server.put_zone("sub.example.com", www="192.0.2.91")
    ctl(server.url, "zone", "delete", "example.com")
    assert sorted(server.client.keys()) == ["dns:sub.example.com", "dns:www.sub.example.com"]
    assert ctl(server.url, "zone", "list").stdout == "sub.example.com\n"


def test_a_zone_that_is_there_is_not_added_again(server):
    again = ctl(server.url, "zone", "add", "example.com", "--ns", "ns1.example.com.", check=False)
    assert again.returncode == 1 and "already" in again.stderr
    missing = ctl(server.url, "zone", "delete", "example.net", check=False)
    assert missing.returncode == 1 and len(missing.stderr.splitlines()) == 1


def test_a_big_import(tmp_path, start_redis):
    server = start_redis()
    count = 20000 if godwit.SANITIZED else 200000
    zone = tmp_path / "zone"
    with open(zone, "w") as out:
        out.write(godwit.DEMO_ZONE)
        for number in range(count):
            out.write(f"h{number} A 10.{number >> 16}.{number >> 8 & 255}.{number & 255}\n")
    began = time.monotonic()
    ctl(server.url, "zone", "import", zone)
    print(f"{count} records imported in {time.monotonic() - began:.2f} s")
    assert server.client.dbsize() == count + 7


def write_zone(directory, apex, *lines):
    path = directory / f"{apex}.zone"
    path.write_text("\n".join([f"$ORIGIN {apex}.", "$TTL 60", "@ SOA ns h 1 2 3 4 5", "@ NS ns",
                               *lines]) + "\n")
    return path


@pytest.mark.parametrize("order", [1, -1], ids=["child first", "parent first"])
@pytest.mark.parametrize("stored", [True, False], ids=["both replaced", "a new child"])
def test_a_zone_and_its_child_imported_together_are_both_whole(tmp_path, start_redis, order,
                                                               stored):
    server = start_redis().put_zone(old="192.0.2.1", **{"old.sub": "192.0.2.2"})
    if stored:
        server.put_zone("sub.example.com", old="192.0.2.3")
    files = [write_zone(tmp_path, "sub.example.com", "www A 192.0.2.7", "@ TXT child"),
             write_zone(tmp_path, "example.com", "www A 192.0.2.8", "sub NS ns.sub",
                        "sub DS 1 8 2 " + "AB" * 32)]
    ctl(server.url, "zone", "import", "--replace", *files[::order])
    assert sorted(server.client.keys()) == ["dns:example.com", "dns:sub.example.com",
                                            "dns:www.example.com", "dns:www.sub.example.com"]
    assert server.client.hget("dns:www.sub.example.com", "A") == "192.0.2.7"
    assert server.client.hget("dns:www.example.com", "A") == "192.0.2.8"
    assert set(server.client.hgetall("dns:sub.example.com")) == {"SOA", "NS", "TXT", "DS", "ttl"}
    assert ctl(server.url, "zone", "list").stdout == "example.com\nsub.example.com\n"


def test_many_zones_are_replaced_by_one_look_at_the_keys(tmp_path, start_redis):
    server = start_redis()
    for number in range(40):
        server.put_zone(f"z{number}.example", gone="192.0.2.1", kept="192.0.2.2")
    files = [write_zone(tmp_path, f"z{number}.example", "kept A 192.0.2.2", "new A 192.0.2.3")
             for number in range(40)]
    pipe = server.client.pipeline(transaction=False)
    for number in range(20000):
        pipe.hset(f"dns:h{number}.other.example", "A", "192.0.2.9")
    pipe.execute()
    server.client.config_resetstat()
    ctl(server.url, "zone", "import", "--replace", *files)
    scans = server.client.info("commandstats")["cmdstat_scan"]["calls"]
    assert scans <= 2 * (20000 + 200) // 2000 + 10
    keys = server.client.keys("dns:*.z*.example")
    assert len(keys) == 80 and not [key for key in keys if "gone" in key]
