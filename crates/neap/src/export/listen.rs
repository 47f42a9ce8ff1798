//! The address to listen at, and which names of it a request may use.
//!
//! A page in a browser on the same machine can reach loopback under a name of its own (DNS rebinding). So on
//! loopback a request must name it as this machine would: `localhost` or a loopback address, or a name that was
//! allowed. At other addresses Prometheus may use any name, unless names were given.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Spells NEAP on a telephone. The range 9100 to 9999, in which exporters are registered, is full; 9090 is
/// Prometheus itself.
pub(crate) const PORT: u16 = 6327;

/// `ADDR:PORT` of `--listen`.
///
/// # Errors
/// What to write in its place.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let complaint =
        || format!("`{text}` is no address; write 127.0.0.1:{PORT}, [::1]:{PORT} or 0.0.0.0:{PORT}");
    let port = |port: &str| port.parse::<u16>().map_err(|_| complaint());
    match text.rsplit_once(':') {
        Some(("localhost", rest)) => Ok((Ipv4Addr::LOCALHOST, port(rest)?).into()),
        Some(("", rest)) => {
            let port = port(rest)?;
            Err(format!(
                "`{text}` names no address; for every address of this machine write 0.0.0.0:{port}"
            ))
        }
        _ => Err(complaint()),
    }
}

/// Which hosts a request may name.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    any: bool,
    allowed: Vec<String>,
}

impl Hosts {
    /// For a listener at `address`, with the names of `--allow-host`.
    pub(crate) fn new(address: IpAddr, allowed: &[String]) -> Hosts {
        Hosts {
            any: allowed.is_empty() && !address.is_loopback(),
            allowed: allowed.iter().map(|name| name.to_ascii_lowercase()).collect(),
        }
    }

    /// Whether a request with this Host is answered. One without is no browser's.
    pub(crate) fn allow(&self, host: Option<&str>) -> bool {
        let Some(host) = host.filter(|_| !self.any) else {
            return true;
        };
        let name = without_port(host).to_ascii_lowercase();
        let loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        loopback || name == "localhost" || self.allowed.contains(&name)
    }
}

/// `[::1]:80` is `::1`, `a:80` is `a`.
fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers_or_localhost() {
        let parse = |text| parse_address(text).map(|address| address.to_string());
        assert_eq!(parse("127.0.0.1:0"), Ok("127.0.0.1:0".to_owned()));
        assert_eq!(parse("[::1]:6327"), Ok("[::1]:6327".to_owned()));
        assert_eq!(parse("localhost:80"), Ok("127.0.0.1:80".to_owned()));
        assert!(parse(":6327").unwrap_err().contains("0.0.0.0:6327"));
        for text in [
            "",
            "6327",
            "example.org:80",
            "localhost:x",
            "::1:80x",
            "127.0.0.1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_answers_to_its_own_names_only() {
        let hosts = Hosts::new(Ipv4Addr::LOCALHOST.into(), &["Metrics.Local".to_owned()]);
        for host in [
            "localhost:6327",
            "127.0.0.1",
            "127.0.0.1:6327",
            "[::1]:80",
            "LOCALHOST",
            "metrics.local:1",
        ] {
            assert!(hosts.allow(Some(host)), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:6327",
            "192.168.1.1",
            "localhost.evil.example",
            "",
            "[::1",
        ] {
            assert!(!hosts.allow(Some(host)), "{host}");
        }
        assert!(hosts.allow(None));
    }

    #[test]
    fn other_addresses_answer_to_any_name_unless_names_are_given() {
        let open = Ipv4Addr::UNSPECIFIED.into();
        assert!(Hosts::new(open, &[]).allow(Some("db1.example:6327")));
        let named = Hosts::new(open, &["db1.example".to_owned()]);
        assert!(named.allow(Some("db1.example:6327")) && !named.allow(Some("evil.example")));
    }
}
