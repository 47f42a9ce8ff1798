//! The server: formats, refusals, slow and many clients, signals.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::client::{Server, reply};
use super::{Running, assert_same, has, of_process, samples};
use crate::support::{folder, neap, skip, stderr, wait_until};

#[test]
fn the_text_is_what_the_client_asks_for() {
    let server = Server::start(&["--all", "--limit", "3"]);
    let older = server.get("/metrics");
    assert_eq!(
        older.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(!older.text().contains("# EOF") && older.text().contains("# TYPE neap_process_info gauge"));
    let open = server.request(
        "GET",
        "/metrics",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    );
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(
        open.text().ends_with("# EOF\n") && open.text().contains("# UNIT neap_process_resident_bytes bytes")
    );
    let packed = server.request("GET", "/metrics", "Accept-Encoding: gzip\r\n");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert!(samples(&text).contains_key("neap_export_scrapes_total"));
    let head = server.request("HEAD", "/metrics", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
}

#[test]
fn what_is_wrong_is_refused_with_a_hint_and_counted() {
    let server = Server::start(&[]);
    let missing = server.get("/metric");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("/metrics"), "{missing:?}");
    let post = server.request("POST", "/metrics", "Content-Length: 3\r\n");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    let rebound = server
        .raw(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        .unwrap();
    assert_eq!(rebound.status, 421);
    assert!(rebound.text().contains("--allow-host") && !rebound.text().contains("neap_process"));
    let big = [b"GET /metrics HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 100 << 10]].concat();
    assert!(
        server.raw(&big).is_none_or(|reply| reply.status == 431),
        "a head without an end"
    );
    let garbage = server.raw(b"\x16\x03\x01\x02\x00nonsense\r\n\r\n");
    assert!(
        garbage.is_none_or(|reply| reply.status == 400),
        "TLS to a plain port"
    );
    let page = server.get("/");
    assert!(page.status == 200 && page.text().contains("href=\"/metrics\""));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(server.get("/-/healthy").text(), "healthy\n");
    wait_until("the refusals to be counted", || {
        let samples = samples(&server.metrics());
        let count = |cause: &str| samples[&format!("neap_export_errors_total{{cause=\"{cause}\"}}")];
        [count("path"), count("method"), count("host"), count("malformed")] == [1.0, 1.0, 1.0, 2.0]
    });
}

#[test]
fn a_name_that_is_allowed_is_answered() {
    let server = Server::start(&["--allow-host", "db1.example"]);
    let ask = |host: &str| {
        let request = format!("GET /-/healthy HTTP/1.1\r\nHost: {host}\r\n\r\n");
        server.raw(request.as_bytes()).unwrap().status
    };
    assert_eq!(
        [ask("db1.example:80"), ask("localhost"), ask("db2.example")],
        [200, 200, 421]
    );
    assert_eq!(
        server.raw(b"GET /-/healthy HTTP/1.0\r\n\r\n").unwrap().status,
        200,
        "no browser sends that"
    );
}

#[test]
fn many_clients_at_once_share_a_reading() {
    let server = Server::start(&["--all"]);
    let start = Instant::now();
    let readings: Vec<f64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..24).map(|_| scope.spawn(|| server.metrics())).collect();
        let texts = clients.into_iter().map(|client| client.join().unwrap());
        texts
            .map(|text| samples(&text)["neap_export_scrapes_total"])
            .collect()
    });
    let most = readings.iter().copied().fold(0.0, f64::max);
    // One a second at most, however many ask.
    assert!(
        most <= start.elapsed().as_secs_f64() + 2.0,
        "{most} readings for {} clients",
        readings.len()
    );
}

#[test]
fn clients_that_say_nothing_do_not_stop_it() {
    let server = Server::start(&[]);
    let status = || {
        let reply = server.raw(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n");
        reply.map(|reply| reply.status)
    };
    let mut silent = Vec::new();
    wait_until("the next to be told that there is no room", || {
        silent.extend((0..40).map(|_| server.connect()));
        status() == Some(503)
    });
    // Their heads do not come, so their places are taken from them while they still hold on.
    wait_until("a place to be free", || status() == Some(200));
    drop(silent);
    wait_until("both to be counted", || {
        let samples = samples(&server.metrics());
        let count = |cause: &str| samples[&format!("neap_export_errors_total{{cause=\"{cause}\"}}")];
        count("busy") >= 1.0 && count("timeout") + count("broken") >= 32.0
    });
}

#[test]
fn whatever_bytes_come_it_goes_on() {
    let server = Server::start(&[]);
    let mut state = 1_u64;
    let mut random = || {
        // Knuth's MMIX.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap()
    };
    let parts: [&[u8]; 8] = [
        b"GET /metrics HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"Host: localhost\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 18446744073709551615\r\n",
        b"Accept: ;q=,;;q=nan,*/*;q=inf\r\n",
        b"\0\xff\x80 ",
        b"Expect: 100-continue\r\nUpgrade: h2c\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for _ in 0..200 {
        let mut bytes: Vec<u8> = (0..random() % 6)
            .flat_map(|_| parts[random() % parts.len()].to_vec())
            .collect();
        bytes.extend(b"\r\n\r\n");
        let mut stream = server.connect();
        let _ = stream.write_all(&bytes);
        // An end, so that the server does not wait for more.
        let _ = stream.shutdown(Shutdown::Write);
        if let Some(reply) = reply(&mut stream) {
            assert!((200..600).contains(&reply.status), "{bytes:?}: {reply:?}");
        }
    }
    assert!(samples(&server.metrics())["neap_export_scrapes_total"] >= 1.0);
}

#[test]
fn loopback_of_ipv6_is_served() {
    let output = neap()
        .args(["export", "--listen", "[2001:db8::1]:0"])
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(125),
        "a documentation address is nobody's"
    );
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return skip("loopback_of_ipv6_is_served", "there is no IPv6 here");
    }
    let mut command = neap();
    command.args(["export", "--listen", "[::1]:0"]);
    let server = Server::of(command);
    assert!(server.address.starts_with("[::1]:"), "{}", server.address);
    assert_eq!(server.get("/-/healthy").status, 200);
}

#[test]
fn processes_come_and_go() {
    let first = Running::idle();
    let second = Running::idle();
    let (one, two) = (first.pid(), second.pid());
    let server = Server::start(&["--pid", &format!("{one},{two}")]);
    let before = samples(&server.metrics());
    assert_same(
        of_process(&before, "neap_process_resident_bytes", &one, ""),
        first.bytes("VmRSS"),
        "RSS",
    );
    assert!(has(&before, "neap_process_resident_bytes", &two));
    second.end();
    wait_until("the series to vanish", || {
        let after = server.metrics();
        !after.contains(&format!("pid=\"{two}\"")) && has(&samples(&after), "neap_process_threads", &one)
    });
}

#[test]
fn it_ends_cleanly_when_told_to() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start(&[]);
        let idle = server.connect();
        assert_eq!(server.get("/-/healthy").status, 200);
        kill(Pid::from_raw(server.running.0.id().cast_signed()), signal).unwrap();
        let status = server.running.0.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(0), None), "{signal}");
        drop(idle);
    }
}

#[test]
fn the_supervisor_is_told() {
    let folder = folder();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    let mut command = neap();
    command
        .args(["export", "--listen", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", &path);
    let mut server = Server::of(command);
    let told = || {
        let mut bytes = [0; 64];
        let len = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    assert_eq!(told(), "READY=1");
    kill(
        Pid::from_raw(server.running.0.id().cast_signed()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(told(), "STOPPING=1");
    assert!(server.running.0.wait().unwrap().success());
}

#[test]
fn an_address_in_use_or_not_of_this_machine_is_an_error_in_one_line() {
    let server = Server::start(&[]);
    let again = neap()
        .args(["export", "--listen", &server.address])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(125));
    assert!(
        stderr(&again).contains(&server.address) && stderr(&again).lines().count() == 1,
        "{again:?}"
    );
    // 192.0.2.0/24 belongs to nobody (RFC 5737).
    let open = neap()
        .args(["export", "--listen", "192.0.2.1:0"])
        .output()
        .unwrap();
    assert_eq!(open.status.code(), Some(125));
    assert!(stderr(&open).contains("neap: warning: 192.0.2.1:0 can be reached from other machines"));
}
