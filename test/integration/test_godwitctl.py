"""godwitctl's commands, one after the other: what they do, print and refuse, and their exit codes.
Importing and exporting have a file of their own, test_godwitctl_files.py."""

import http.server
import json
import os
import re
import sqlite3
import threading

import pytest

import godwit

ZONE_ADD = ("zone", "add", "example.com", "--ns", "ns1.example.com", "--ns", "ns2.example.net.")


@pytest.fixture
def ctl(empty_store):
    """Runs godwitctl on a new store: ctl(words...) -> standard output; fails on an exit code."""
    def run(*words, **kwargs):
        return empty_store.ctl(*words, **kwargs).stdout
    return run


@pytest.fixture
def fails(empty_store):
    """Runs godwitctl on the same store; asserts exit 1 with one line on standard error, nothing on
    standard output, and returns the line."""
    def run(*words, **kwargs):
        done = empty_store.ctl(*words, check=False, **kwargs)
        assert done.returncode == 1, (words, done.stdout, done.stderr)
        assert done.stdout == ""
        assert re.fullmatch(r"[^\n]+\n", done.stderr), done.stderr
        return done.stderr.rstrip("\n")
    return run


def records(ctl, name):
    """{(name, type): (ttl, [data, ...])} of a zone or name."""
    found = {}
    for record in json.loads(ctl("record", "list", name, "--json")):
        assert set(record) == {"name", "type", "ttl", "data"}
        key = record["name"], record["type"]
        ttl, data = found.setdefault(key, (record["ttl"], []))
        assert ttl == record["ttl"]
        data.append(record["data"])
    return found


def serial(ctl, zone="example.com"):
    return int(records(ctl, zone)[zone + ".", "SOA"][1][0].split()[2])


# --- help, usage, the store -----------------------------------------------------------------------

def test_help_and_version_go_to_standard_output():
    text = godwit.run(godwit.program("godwitctl"), "--help").stdout
    for words in ("init", "zone add", "zone list", "zone import", "zone export", "zone delete",
                  "record set", "record add", "record delete", "record list", "copy", "reload",
                  "cache flush", "cache show", "announcer status", "announcer drain",
                  "announcer undrain", "status"):
        assert words in text
        own = godwit.run(godwit.program("godwitctl"), *words.split(), "--help").stdout
        assert words in own
    version = godwit.run(godwit.program("godwitctl"), "--version").stdout
    assert re.fullmatch(r"godwitctl \d+\.\d+\.\d+\n", version)


@pytest.mark.parametrize("words, hint", [
    ((), "--help"),
    (("nonsense",), "nonsense"),
    (("zone",), "zone"),
    (("zone", "nonsense"), "zone nonsense"),
    (("zone", "add"), "usage: godwitctl zone add ZONE"),
    (("zone", "add", "example.com"), "--ns"),
    (("zone", "list", "more"), "usage"),
    (("zone", "list", "--json"), "--json is no option"),
    (("zone", "import"), "usage: godwitctl zone import FILE"),
    (("cache", "show"), "usage: godwitctl cache show NAME"),
    (("cache", "flush", "a.example", "b.example"), "usage: godwitctl cache flush [NAME]"),
    (("cache", "flush", "a..example"), "a..example"),
    (("record", "set", "a.example.com", "A"), "usage: godwitctl record set"),
    (("record", "set", "a.example.com", "A", "192.0.2.1", "--ttl", "soon"), "--ttl soon"),
    (("record", "set", "a.example.com", "A", "192.0.2.1", "--ttl"), "--ttl needs a value"),
    (("--bogus",), "--bogus"),
    (("record", "set", "a.example.com", "TXT", "-x"), "-x"),
])
def test_usage_errors_are_one_line(fails, words, hint):
    assert hint in fails(*words)


def test_options_stand_before_or_after_the_command(empty_store):
    program = godwit.program("godwitctl")
    godwit.run(program, "zone", "add", "--ns", "ns.example.", "example.", "--store", empty_store.url)
    godwit.run(program, "--ttl", "5", "record", "--store", empty_store.url, "set", "a.example", "TXT",
               "--", "-x")
    listed = godwit.run(program, "record", "list", "a.example", "--json",
                        env=godwit.environment(GODWIT_STORE=empty_store.url)).stdout
    assert json.loads(listed) == [{"name": "a.example.", "type": "TXT", "ttl": 5, "data": '"-x"'}]


def test_a_store_must_be_named_and_be_there(tmp_path):
    def error(*words):
        done = godwit.run(godwit.program("godwitctl"), *words, check=False, cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        return done.stderr
    assert "GODWIT_STORE" in error("zone", "list")
    assert "init" in error("--store", "sqlite:missing.db", "zone", "list")
    assert not (tmp_path / "missing.db").exists()
    assert "sqlite:" in error("--store", "nonsense", "zone", "list")
    (tmp_path / "text.db").write_text("this is no database at all\n" * 100)
    assert "text.db" in error("--store", "sqlite:text.db", "zone", "list")


def test_init_twice_changes_nothing(ctl):
    ctl(*ZONE_ADD)
    before = ctl("zone", "export", "example.com")
    ctl("init")
    assert ctl("zone", "export", "example.com") == before


def test_output_that_cannot_be_written_is_an_error(empty_store):
    empty_store.ctl(*ZONE_ADD)
    with open("/dev/full", "w") as full:
        done = godwit.subprocess.run(
            [godwit.program("godwitctl"), "--store", empty_store.url, "zone", "list"], stdout=full,
            stderr=godwit.subprocess.PIPE, text=True, env=godwit.environment())
    assert done.returncode == 1 and "cannot write" in done.stderr


# --- zones ----------------------------------------------------------------------------------------

def test_zone_add_makes_soa_and_ns(ctl):
    ctl(*ZONE_ADD, "--ttl", "1h")
    found = records(ctl, "example.com")
    assert found["example.com.", "NS"] == (3600, ["ns1.example.com.", "ns2.example.net."])
    ttl, (soa,) = found["example.com.", "SOA"]
    assert ttl == 3600
    assert re.fullmatch(r"ns1\.example\.com\. hostmaster\.example\.com\. 20\d{6}01 10800 3600 604800"
                        r" 3600", soa)
    assert ctl("zone", "list") == "example.com\n"


def test_zone_add_takes_a_mail_address(ctl):
    ctl(*ZONE_ADD, "--mbox", "jane.doe@example.org")
    soa = records(ctl, "example.com")["example.com.", "SOA"][1][0]
    assert soa.split()[1] == "jane\\.doe.example.org."


def test_zone_add_refuses_what_is_there_and_what_is_no_name(ctl, fails):
    ctl(*ZONE_ADD)
    assert "example.com is in the store already" in fails("zone", "add", "EXAMPLE.com.", "--ns", "a.")
    assert "domain name" in fails("zone", "add", "a..b", "--ns", "a.")
    assert "--ns" in fails("zone", "add", "example.org", "--ns", "a..b")
    assert "--mbox" in fails("zone", "add", "example.org", "--ns", "a.", "--mbox", "")
    assert ctl("zone", "list") == "example.com\n"


def test_zone_list_is_sorted_and_delete_deletes_all(ctl, fails, empty_store):
    for zone in ("b.example", "a.example", "."):
        ctl("zone", "add", zone, "--ns", "ns.example")
    assert ctl("zone", "list").split() == [".", "a.example", "b.example"]
    ctl("zone", "delete", "B.example.")
    assert ctl("zone", "list").split() == [".", "a.example"]
    assert empty_store.sql("SELECT count(*) FROM records WHERE name = 'b.example'") == [(0,)]
    for command in (("zone", "delete"), ("zone", "export")):
        assert "no zone b.example" in fails(*command, "b.example")


# --- records --------------------------------------------------------------------------------------

def test_record_set_writes_the_whole_rrset_and_raises_the_serial(ctl):
    ctl(*ZONE_ADD)
    first = serial(ctl)
    ctl("record", "set", "www.example.com", "A", "192.0.2.1", "192.0.2.2", "--ttl", "60")
    assert records(ctl, "www.example.com") == {
        ("www.example.com.", "A"): (60, ["192.0.2.1", "192.0.2.2"])}
    ctl("record", "set", "WWW.example.com.", "a", "192.0.2.3")
    assert records(ctl, "www.example.com") == {("www.example.com.", "A"): (60, ["192.0.2.3"])}
    assert serial(ctl) == first + 2


def test_record_set_to_the_same_changes_nothing(ctl):
    ctl(*ZONE_ADD)
    ctl("record", "set", "a.example.com", "MX", "10 mail.example.com")
    before = serial(ctl)
    ctl("record", "set", "a.example.com", "MX", "10 mail.example.com.")
    ctl("record", "add", "a.example.com", "MX", "10 MAIL.example.com.")
    assert serial(ctl) == before


def test_record_add_and_delete(ctl, fails):
    ctl(*ZONE_ADD)
    ctl("record", "add", "t.example.com", "TXT", '"one; two"', "--ttl", "7")
    ctl("record", "add", "t.example.com", "TXT", '"three" "four"', '""')
    assert records(ctl, "t.example.com")["t.example.com.", "TXT"] == (
        7, ['""', '"three" "four"', '"one; two"'])
    ctl("record", "add", "t.example.com", "TXT", '"five"', "--ttl", "8")
    assert records(ctl, "t.example.com")["t.example.com.", "TXT"][0] == 8
    before = serial(ctl)
    ctl("record", "delete", "t.example.com", "TXT", '"five"', '""')
    assert records(ctl, "t.example.com")["t.example.com.", "TXT"][1] == [
        '"three" "four"', '"one; two"']
    ctl("record", "delete", "t.example.com", "TXT")
    assert records(ctl, "t.example.com") == {}
    assert serial(ctl) == before + 2
    assert "nothing to delete" in fails("record", "delete", "t.example.com", "TXT")
    ctl("record", "set", "t.example.com", "A", "192.0.2.1")
    assert "192.0.2.9" in fails("record", "delete", "t.example.com", "A", "192.0.2.9")


def test_serial_goes_around_its_end(ctl):
    ctl(*ZONE_ADD)
    ctl("record", "set", "example.com", "SOA", "ns1.example.com h.example.com 4294967295 1 2 3 4")
    assert serial(ctl) == 4294967295
    ctl("record", "set", "a.example.com", "A", "192.0.2.1")
    assert serial(ctl) == 0


def test_what_breaks_dns_is_refused(ctl, fails):
    ctl(*ZONE_ADD)
    ctl("record", "set", "a.example.com", "A", "192.0.2.1")
    ctl("record", "set", "c.example.com", "CNAME", "a.example.com.")
    ctl("record", "set", "d.example.com", "DNAME", "example.net.")
    before = ctl("zone", "export", "example.com")
    for words, hint in (
            (("set", "a.example.com", "CNAME", "b."), "CNAME beside other"),
            (("set", "c.example.com", "TXT", "x"), "CNAME beside other"),
            (("add", "c.example.com", "CNAME", "b."), "two different CNAME"),
            (("set", "c.example.com", "CNAME", "a.", "b."), "two different CNAME"),
            (("add", "d.example.com", "DNAME", "example.org."), "two different DNAME"),
            (("set", "example.com", "CNAME", "b."), "CNAME beside other"),
            (("add", "example.com", "SOA", "a. b. 1 2 3 4 5"), "two different SOA"),
            (("delete", "example.com", "SOA"), "SOA record must stay"),
            (("set", "a.example.com", "SOA", "a. b. 1 2 3 4 5"), "apex"),
            (("set", "a.example.org", "A", "192.0.2.1"), "no zone"),
            (("set", "a..example.com", "A", "192.0.2.1"), "domain name"),
            (("set", "a.example.com", "A", "192.0.2.256"), "192.0.2.256"),
            (("set", "a.example.com", "MX", "10", "mail.example.com."), "quote"),
            (("set", "a.example.com", "TXT", "v=spf1; -all"), "double quotes"),
            (("set", "a.example.com", "NONSENSE", "1"), "NONSENSE"),
            (("set", "a.example.com", "ANY", "1"), "ANY"),
            (("set", "a.example.com", "TYPE65280", "\\# 2 00"), "65280")):
        assert hint in fails("record", *words), words
    assert ctl("zone", "export", "example.com") == before


def test_what_is_merely_unusual_is_done(ctl):
    ctl(*ZONE_ADD)
    for words in (("sub.example.com", "NS", "ns.sub.example.com."),
                  ("x.sub.example.com", "TXT", "below"),
                  ("d.example.com", "DNAME", "example.net."),
                  ("x.d.example.com", "TXT", "below"),
                  ("*.w.example.com", "NS", "nowhere."),
                  ("*.v.example.com", "DNAME", "nowhere."),
                  ("*.example.com", "CNAME", "nowhere."),
                  ("t.example.com", "TYPE65280", "\\# 3 010203")):
        ctl("record", "set", *words)
    ctl("record", "delete", "example.com", "NS")


def test_ds_belongs_to_the_parent(ctl):
    ctl(*ZONE_ADD)
    ctl("zone", "add", "sub.example.com", "--ns", "ns.example.com")
    ctl("record", "set", "sub.example.com", "DS", "1 8 2 " + "ab" * 32)
    ctl("record", "set", "sub.example.com", "TXT", "child")
    assert ("sub.example.com.", "DS") in records(ctl, "example.com")
    child = records(ctl, "sub.example.com")
    assert ("sub.example.com.", "TXT") in child and ("sub.example.com.", "DS") not in child


def test_odd_names_and_octets_are_valid_json(ctl):
    ctl(*ZONE_ADD)
    name = '\\"q\\\\\\000\\.x.example.com'
    ctl("record", "set", name, "TXT", '"line\\010 quote\\" backslash\\\\ é"')
    (record,) = json.loads(ctl("record", "list", name, "--json"))
    assert record["name"] == name + "."
    assert record["data"] == '"line\\010 quote\\" backslash\\\\ \\195\\169"'


def test_records_of_others_that_do_not_parse_are_reported_and_kept(ctl, fails, empty_store):
    ctl(*ZONE_ADD)
    empty_store.add_record("example.com", "a.example.com", "A", "nonsense")
    empty_store.add_record("example.com", "a.example.com", "TXT", '"fine"')
    listed = empty_store.ctl("record", "list", "a.example.com")
    assert "fine" in listed.stdout and "nonsense" not in listed.stdout
    assert re.search(r"warning: left out \S+: a\.example\.com A", listed.stderr)
    assert "do not parse" in fails("record", "add", "a.example.com", "A", "192.0.2.1")
    ctl("record", "set", "a.example.com", "A", "192.0.2.1")
    assert records(ctl, "a.example.com")["a.example.com.", "A"][1] == ["192.0.2.1"]


def test_a_locked_store_is_one_clear_line(ctl, fails, empty_store):
    ctl(*ZONE_ADD)
    other = empty_store.connect()
    try:
        other.execute("BEGIN IMMEDIATE")
        assert str(empty_store.path) in fails("record", "set", "a.example.com", "A", "192.0.2.1")
        other.execute("ROLLBACK")
    finally:
        other.close()
    ctl("record", "set", "a.example.com", "A", "192.0.2.1")


def test_a_reader_without_write_permission_can_list(ctl, empty_store):
    ctl(*ZONE_ADD)
    with sqlite3.connect(empty_store.path) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    database.close()
    os.chmod(empty_store.path, 0o444)
    assert ctl("zone", "list") == "example.com\n"


# --- status ---------------------------------------------------------------------------------------

@pytest.fixture
def admin_server():
    """admin_server({"/path": (status, text)}) -> address of an HTTP server that answers so; "POST
    /path" is for that method."""
    servers = []

    def start(pages):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(self.path)

            def do_POST(self):
                assert self.headers["Content-Length"] == "0"
                self.answer("POST " + self.path)

            def answer(self, page):
                status, text = pages.get(page, (404, ""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return "127.0.0.1:%d" % servers[-1].server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def status(*admins):
    words = [word for admin in admins for word in ("--admin", admin)]
    return godwit.run(godwit.program("godwitctl"), "status", *words, check=False)


def test_status_shows_state_and_figures(admin_server):
    metrics = ("# HELP godwit_frontend_queries_total Queries.\n"
               'godwit_frontend_queries_total{protocol="udp"} 40\n'
               'godwit_frontend_queries_total{protocol="tcp"} 2\n'
               "godwit_backend_zones 3\n")
    address = admin_server({"/readyz": (200, "3 zones\n"), "/metrics": (200, metrics)})
    done = status(address)
    assert done.returncode == 0 and done.stderr == ""
    assert f"{address}  ready: 3 zones" in done.stdout
    assert re.search(r"queries +42\n", done.stdout) and re.search(r"zones +3\n", done.stdout)


def test_status_fails_when_a_server_is_not_ready(admin_server):
    ready = admin_server({"/readyz": (200, "fine")})
    waiting = admin_server({"/readyz": (503, "store not loaded yet")})
    nobody = godwit.free_address()
    done = status(ready, waiting, nobody)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "2 of 3" in done.stderr
    assert f"{ready}  ready: fine" in done.stdout
    assert f"{waiting}  not ready: store not loaded yet" in done.stdout
    assert f"{nobody}  no answer" in done.stdout
    done = status("nonsense")
    assert done.returncode == 1 and "nonsense" in done.stderr


def test_status_names_what_is_down_and_what_went_wrong(admin_server):
    metrics = ("godwit_backend_store_up 0\n"
               "godwit_backend_data_age_seconds 3725.5\n"
               "godwit_backend_records 1000000\n"
               "godwit_backend_mirror_bytes 104857600\n"
               "godwit_backend_store_outages_total 2\n"
               "godwit_backend_records_rejected_total 0\n"
               'godwit_frontend_backend_data_age_seconds{backend="192.0.2.1:53"} 0.2\n'
               'godwit_frontend_backend_data_age_seconds{backend="192.0.2.2:53"} 125\n'
               'godwit_frontend_backend_data_age_seconds{backend="192.0.2.3:53"} 7\n'
               'godwit_frontend_backend_store_up{backend="192.0.2.2:53"} 0\n'
               'godwit_frontend_threads_hung 1\n'
               'godwit_frontend_backend_up{backend="192.0.2.1:53"} 1\n'
               'godwit_frontend_backend_up{backend="192.0.2.2:53"} 0\n'
               'godwit_frontend_backend_up{backend="\x1b[2J"} 0\n')
    done = status(admin_server({"/readyz": (503, "old\x1b[31m"), "/metrics": (200, metrics)}))
    lines = [re.sub(r"  +", "  ", line.strip()) for line in done.stdout.splitlines()]
    assert lines[0].endswith("not ready: old?[31m")
    assert lines[1:] == ["store  down", "data age  1 h 2 min", "records  1000000",
                         "memory for them  100.0 MiB", "store outages  2",
                         "backends  1 of 3 up; down: 192.0.2.2:53, ?[2J",
                         "their stores  0 of 1 up; down: 192.0.2.2:53",
                         "oldest data  2 min 5 s at 192.0.2.2:53", "threads that hang  1"]


def test_status_of_running_servers(backend, frontend):
    godwit.wait_until(lambda: any(name.startswith("godwit_frontend_backend_store_up")
                                  for name in frontend.metrics()))
    done = status(backend.admin, frontend.admin)
    assert done.returncode == 0, done.stderr
    for line in (r"store +up", r"data age +\d+\.\d s", r"zones +1", r"names +7", r"records +12",
                 r"backends +1 of 1 up", r"their stores +1 of 1 up", r"oldest data +\d+\.\d s", r"queries +\d+"):
        assert re.search(rf"^    {line}$", done.stdout, re.M), (line, done.stdout)
    assert "outages" not in done.stdout and "left out" not in done.stdout


# --- reload ---------------------------------------------------------------------------------------

def reload(*words):
    return godwit.run(godwit.program("godwitctl"), "reload", *words, check=False)


def test_reload_prints_the_backends_answer(admin_server):
    address = admin_server({"POST /reload": (200, "loading\n"),
                            "POST /reload?force=1": (202, "loading, whatever is lost")})
    done = reload("--admin", address)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{address}  loading\n", "")
    done = reload("--admin", address, "--force")
    assert done.stdout == f"{address}  loading, whatever is lost\n" and done.returncode == 0


def test_reload_fails_when_a_backend_refuses_or_is_silent(admin_server):
    fine = admin_server({"POST /reload": (200, "loading\n")})
    refuses = admin_server({"POST /reload": (409, "a load is under way\n")})
    unable = admin_server({})
    nobody = godwit.free_address()
    done = reload(*(word for address in (refuses, fine, unable, nobody)
                    for word in ("--admin", address)))
    assert done.returncode == 1
    assert done.stdout == (f"{refuses}  a load is under way\n{fine}  loading\n"
                           f"{unable}  HTTP status 404\n{nobody}  no answer\n")
    assert done.stderr.count("\n") == 1 and "3 of 4" in done.stderr and "reload --help" in done.stderr
    done = reload("--admin", "unix:/nowhere")
    assert done.returncode == 1 and "HOST:PORT" in done.stderr and done.stdout == ""


def test_reload_of_a_running_backend(backend):
    loads = backend.metric("godwit_backend_store_loads_total")
    done = reload("--admin", backend.admin)
    assert done.returncode == 0 and done.stderr == "", done
    assert re.fullmatch(re.escape(backend.admin) + r"  [^\n]+\n", done.stdout)
    godwit.wait_until(lambda: backend.metric("godwit_backend_store_loads_total") == loads + 1)


def test_reload_with_force_confirms_a_loss(store, backend, tmp_path):
    records = backend.metric("godwit_backend_records")
    emptier = godwit.Store(tmp_path, "emptier.db").init()
    emptier.sql("PRAGMA journal_mode = DELETE")
    os.replace(emptier.path, store.path)
    godwit.wait_until(lambda: backend.metric("godwit_backend_store_guarded_total") > 0)
    refused = reload("--admin", backend.admin)
    assert refused.returncode == 1 and "--force" in refused.stdout, refused
    assert backend.metric("godwit_backend_records") == records
    assert reload("--admin", backend.admin, "--force").returncode == 0
    godwit.wait_until(lambda: backend.metric("godwit_backend_records") == 0)


# --- cache, on servers that are not front ends; on real ones in test_cache.py ---------------------

def cache(*words):
    return godwit.run(godwit.program("godwitctl"), "cache", *words, check=False)


def test_cache_prints_each_answer(admin_server):
    one = admin_server({"POST /cache/flush": (200, "7 answers forgotten\n"),
                        "POST /cache/flush?name=a%5C.b.example.": (200, "1 answer forgotten\n"),
                        "/cache?name=a.example.": (200, "1 answer for a.example.\nA  \x1b[31m\n")})
    two = admin_server({"POST /cache/flush": (200, "0 answers forgotten")})
    done = cache("flush", "--admin", one, "--admin", two)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{one}  7 answers forgotten\n{two}  0 answers forgotten\n"
    assert cache("flush", "a\\.b.example", "--admin", one).stdout == f"{one}  1 answer forgotten\n"
    done = cache("show", "a.example", "--admin", one)
    assert done.stdout == f"{one}  1 answer for a.example.\n    A  ?[31m\n"


def test_cache_fails_when_a_front_end_refuses_or_is_silent(admin_server):
    fine = admin_server({"POST /cache/flush": (200, "7 answers forgotten\n")})
    refuses = admin_server({"POST /cache/flush": (409, "there is no cache\n")})
    unable = admin_server({"POST /cache/flush": (404, "try /metrics\n")})
    nobody = godwit.free_address()
    done = cache("flush", *(word for address in (refuses, fine, unable, nobody)
                            for word in ("--admin", address)))
    assert done.returncode == 1
    assert done.stdout == (f"{refuses}  there is no cache\n{fine}  7 answers forgotten\n"
                           f"{unable}  HTTP status 404\n{nobody}  no answer\n")
    assert done.stderr.count("\n") == 1 and "3 of 4" in done.stderr
