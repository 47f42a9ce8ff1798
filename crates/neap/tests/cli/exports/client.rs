//! `neap export` as a child, and a client of HTTP that sends what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Running;
use crate::support::neap;

/// `neap export` on loopback.
pub(super) struct Server {
    pub(super) running: Running,
    client: Client,
}

/// Who asks a server at `127.0.0.1:PORT`.
pub(super) struct Client {
    pub(super) address: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Server {
    /// `neap export` at a free port with more arguments.
    pub(super) fn start(arguments: &[&str]) -> Server {
        let mut command = neap();
        command
            .args(["export", "--listen", "127.0.0.1:0"])
            .args(arguments);
        Server::of(command)
    }

    /// A command that serves and prints its address.
    pub(super) fn of(mut command: Command) -> Server {
        let mut running = Running::start(command.stdout(Stdio::piped()));
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix("/metrics"));
        let address = address
            .unwrap_or_else(|| panic!("no address in `{line}`"))
            .to_owned();
        Server {
            running,
            client: Client { address },
        }
    }
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    /// A connection that gives up after a time that is long for anything but a hang.
    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends these bytes; `None` when the server closed the connection without an answer.
    pub(super) fn raw(&self, bytes: &[u8]) -> Option<Reply> {
        let mut stream = self.connect();
        // The server may answer and close before it has read all.
        let _ = stream.write_all(bytes);
        reply(&mut stream)
    }

    pub(super) fn request(&self, method: &str, path: &str, headers: &str) -> Reply {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            self.address
        );
        self.raw(request.as_bytes()).unwrap()
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.request("GET", path, "")
    }

    /// The metrics in Prometheus' text.
    pub(super) fn metrics(&self) -> String {
        let reply = self.get("/metrics");
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text()
    }
}

/// Reads to the end.
pub(super) fn reply(stream: &mut TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    // A reset after the answer is the end of it.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    })
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }
}
