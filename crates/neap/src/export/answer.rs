//! What a request is answered with: pure decisions, no sockets.
//!
//! Refusals are text of one line that says what would have been right. Only GET and HEAD are answered, so that
//! no request can change anything.

use std::net::SocketAddr;

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderMap};
use hyper::{Method, StatusCode, Uri};

use super::choice::Choice;
use super::listen::Hosts;
use super::text::Format;

/// How the text travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
}

/// What to do for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Metrics(Format, Coding),
    /// The page at `/`.
    Page,
    Healthy,
    Refused(Refusal),
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Path,
    Method,
    Host,
}

impl Refusal {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Refusal::Path => StatusCode::NOT_FOUND,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Host => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Refusal::Path => "not found: the metrics are at /metrics\n",
            Refusal::Method => "only GET and HEAD are answered\n",
            Refusal::Host => {
                "this host name is not answered on loopback; use localhost, or start neap export with --allow-host NAME\n"
            }
        }
    }
}

/// Decides.
pub(crate) fn answer(method: &Method, uri: &Uri, headers: &HeaderMap, hosts: &Hosts) -> Answer {
    // A request of HTTP/1.1 may name its host in the target, too.
    let named = headers.get(HOST).map(|host| host.to_str().unwrap_or("?"));
    let targeted = uri.authority().map(hyper::http::uri::Authority::as_str);
    if !hosts.allow(named) || !hosts.allow(targeted) {
        return Answer::Refused(Refusal::Host);
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Answer::Refused(Refusal::Method);
    }
    match uri.path() {
        "/metrics" => Answer::Metrics(format(headers), coding(headers)),
        "/" => Answer::Page,
        "/-/healthy" => Answer::Healthy,
        _ => Answer::Refused(Refusal::Path),
    }
}

/// The text that the client prefers; Prometheus' own when it says nothing, for that is what people read.
fn format(headers: &HeaderMap) -> Format {
    let (mut open, mut plain) = (0, 0);
    for (value, quality) in weighted(headers, &ACCEPT) {
        match value.as_str() {
            // Version 1 and the draft 0.0.1 do not differ in what is written here.
            "application/openmetrics-text" => open = open.max(quality),
            "text/plain" | "text/*" | "*/*" => plain = plain.max(quality),
            _ => {}
        }
    }
    if open > 0 && open >= plain {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

fn coding(headers: &HeaderMap) -> Coding {
    let wanted = weighted(headers, &ACCEPT_ENCODING)
        .any(|(value, quality)| matches!(value.as_str(), "gzip" | "*") && quality > 0);
    if wanted { Coding::Gzip } else { Coding::Plain }
}

/// The values of a list header in lower case with their weight in thousandths; one without a weight has all.
fn weighted(headers: &HeaderMap, name: &hyper::header::HeaderName) -> impl Iterator<Item = (String, u16)> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    let values = lines.flat_map(|line| line.split(','));
    values.map(|value| {
        let mut parts = value.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        // A weight is between 0 and 1 with three digits.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=1000"
        )]
        let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
        (name, thousandths)
    })
}

/// The page at `/`. The choice is told in words of neap's own: nothing of a process or a user is in it.
pub(crate) fn page(address: SocketAddr, choice: &Choice) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>neap export</title></head>\n\
         <body><h1>neap export</h1>\n<p>The memory of {choice}, at {address}.</p>\n\
         <ul><li><a href=\"/metrics\">/metrics</a>: OpenMetrics, or Prometheus' text by the Accept header</li>\n\
         <li><a href=\"/-/healthy\">/-/healthy</a>: 200 while the server runs</li></ul>\n</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use std::net::Ipv4Addr;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn ask(method: &Method, uri: &'static str, pairs: &[(&'static str, &'static str)]) -> Answer {
        let hosts = Hosts::new(Ipv4Addr::LOCALHOST.into(), &[]);
        answer(method, &Uri::from_static(uri), &headers(pairs), &hosts)
    }

    #[test]
    fn the_format_is_what_the_client_prefers() {
        let of = |accept| match ask(&Method::GET, "/metrics", &[("accept", accept)]) {
            Answer::Metrics(format, _) => format,
            other => panic!("{other:?}"),
        };
        let prometheus_2_42 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(of(prometheus_2_42), Format::OpenMetrics);
        assert_eq!(
            of("text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.5"),
            Format::Prometheus
        );
        assert_eq!(of("text/html,*/*;q=0.8"), Format::Prometheus);
        assert_eq!(
            of("application/openmetrics-text;q=0,text/plain;q=0"),
            Format::Prometheus
        );
        assert_eq!(
            of("APPLICATION/OpenMetrics-Text; Q=0.9, */*; q=0.1"),
            Format::OpenMetrics
        );
        assert_eq!(
            ask(&Method::GET, "/metrics?x=1", &[]),
            Answer::Metrics(Format::Prometheus, Coding::Plain)
        );
    }

    #[test]
    fn text_is_packed_for_who_takes_it() {
        let of = |coding| match ask(&Method::HEAD, "/metrics", &[("accept-encoding", coding)]) {
            Answer::Metrics(_, coding) => coding,
            other => panic!("{other:?}"),
        };
        assert_eq!([of("gzip"), of("br, gzip;q=0.5"), of("*")], [Coding::Gzip; 3]);
        assert_eq!(
            [of("identity"), of("gzip;q=0"), of("gzip;q=x")],
            [Coding::Plain; 3]
        );
    }

    #[test]
    fn what_is_not_there_is_refused_with_a_hint() {
        assert_eq!(ask(&Method::GET, "/metric", &[]), Answer::Refused(Refusal::Path));
        assert_eq!(
            ask(&Method::GET, "/metrics/", &[]),
            Answer::Refused(Refusal::Path)
        );
        assert_eq!(
            ask(&Method::POST, "/metrics", &[]),
            Answer::Refused(Refusal::Method)
        );
        assert_eq!(ask(&Method::OPTIONS, "/", &[]), Answer::Refused(Refusal::Method));
        assert_eq!(ask(&Method::GET, "/-/healthy", &[]), Answer::Healthy);
        assert_eq!(
            ask(&Method::GET, "/", &[("host", "127.0.0.1:6327")]),
            Answer::Page
        );
        for refusal in [Refusal::Path, Refusal::Method, Refusal::Host] {
            assert!(refusal.status().is_client_error() && refusal.hint().ends_with('\n'));
        }
    }

    #[test]
    fn a_name_that_was_rebound_is_refused_wherever_it_stands() {
        let refused = Answer::Refused(Refusal::Host);
        assert_eq!(
            ask(&Method::GET, "/metrics", &[("host", "evil.example")]),
            refused
        );
        assert_eq!(
            ask(
                &Method::GET,
                "http://evil.example/metrics",
                &[("host", "localhost")]
            ),
            refused
        );
        let mut unreadable = HeaderMap::new();
        unreadable.append(HOST, HeaderValue::from_bytes(b"localhost\xff").unwrap());
        let hosts = Hosts::new(Ipv4Addr::LOCALHOST.into(), &[]);
        assert_eq!(
            answer(&Method::GET, &Uri::from_static("/"), &unreadable, &hosts),
            refused
        );
    }
}
