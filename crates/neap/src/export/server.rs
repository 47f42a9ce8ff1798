//! The HTTP server: one thread for sockets, one reading of the machine at a time.
//!
//! Nothing that a client does makes unbounded work. A connection is one request: its head is at most 16 KiB and
//! comes within five seconds, all of it ends after half a minute. There are at most 32 connections; who comes
//! next is told 503. Requests within a second share one reading, and while one is under way all wait for it, up
//! to ten seconds. SIGTERM and SIGINT end the server: what is being answered has two seconds to finish.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer::{self, Answer, Coding, Refusal};
use super::errors::{Cause, Errors};
use super::figures::Scrape;
use super::gather::Gatherer;
use super::listen::Hosts;
use super::notify;
use super::text::{self, Format};

const CONNECTIONS_MAX: usize = 32;
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);
const READING_TIME_MAX: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(2);
/// A reading is given to everyone who asks within this time.
const FRESH: Duration = Duration::from_secs(1);

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\n\r\ntoo many connections\n";

/// What connections share.
struct Shared {
    gatherer: std::sync::Mutex<Gatherer>,
    latest: Arc<Mutex<Option<Latest>>>,
    errors: Errors,
    hosts: Hosts,
    page: String,
}

/// The newest reading.
#[derive(Clone)]
struct Latest {
    at: Instant,
    scrape: Arc<Scrape>,
}

type Answered = Response<Full<Bytes>>;

/// Serves until a signal ends it. `ready` is told the address once it is bound.
///
/// # Errors
/// The address cannot be bound, or the system gives no sockets, signals or threads.
pub(crate) fn serve(
    address: SocketAddr,
    allowed_hosts: &[String],
    gatherer: Gatherer,
    ready: impl FnOnce(SocketAddr),
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()?;
    let served = runtime.block_on(run(address, allowed_hosts, gatherer, ready));
    // A reading that hangs in the kernel is not waited for.
    runtime.shutdown_background();
    served
}

async fn run(
    address: SocketAddr,
    allowed_hosts: &[String],
    gatherer: Gatherer,
    ready: impl FnOnce(SocketAddr),
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let shared = Arc::new(Shared {
        page: answer::page(bound, gatherer.choice()),
        gatherer: std::sync::Mutex::new(gatherer),
        latest: Arc::default(),
        errors: Errors::default(),
        hosts: Hosts::new(bound.ip(), allowed_hosts),
    });
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    ready(bound);
    notify::ready();
    tokio::select! {
        () = accept(listener, &shared, &seats) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    notify::stopping();
    let everyone = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    // Whoever is not done by then is cut off.
    let _ = timeout(FAREWELL, seats.acquire_many(everyone)).await;
    Ok(())
}

/// Takes connections for ever.
async fn accept(listener: TcpListener, shared: &Arc<Shared>, seats: &Arc<Semaphore>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors or memory: both come back, and a loop without a pause would not help.
                shared.errors.count(Cause::Accept);
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match Arc::clone(seats).try_acquire_owned() {
            Ok(seat) => {
                tokio::spawn(connection(stream, Arc::clone(shared), seat));
            }
            Err(_) => {
                shared.errors.count(Cause::Busy);
                refuse(stream);
            }
        }
    }
}

/// Says that there is no room, without waiting for anything.
fn refuse(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        // A socket closed with something unread takes the answer back. Both calls return at once.
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write(BUSY);
    }
}

/// One request and its answer.
async fn connection(stream: TcpStream, shared: Arc<Shared>, _seat: OwnedSemaphorePermit) {
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(&request, &shared).await) }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIME_MAX, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_parse() => shared.errors.count(Cause::Malformed),
        Ok(Err(error)) if error.is_timeout() => shared.errors.count(Cause::Timeout),
        // The client went away.
        Ok(Err(_)) => shared.errors.count(Cause::Broken),
        Err(_) => shared.errors.count(Cause::Timeout),
    }
}

async fn respond(request: &Request<Incoming>, shared: &Arc<Shared>) -> Answered {
    let plain = |status, text: &str| response(status, "text/plain; charset=utf-8", text.as_bytes().to_vec());
    match answer::answer(request.method(), request.uri(), request.headers(), &shared.hosts) {
        Answer::Healthy => plain(StatusCode::OK, "healthy\n"),
        Answer::Page => response(
            StatusCode::OK,
            "text/html; charset=utf-8",
            shared.page.clone().into_bytes(),
        ),
        Answer::Refused(refusal) => {
            shared.errors.count(refusal.into());
            let mut response = plain(refusal.status(), refusal.hint());
            if refusal == Refusal::Method {
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            response
        }
        Answer::Metrics(format, coding) => match metrics(shared, format, coding).await {
            Ok(response) => response,
            Err(why) => {
                shared.errors.count(Cause::Reading);
                plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n"))
            }
        },
    }
}

async fn metrics(shared: &Arc<Shared>, format: Format, coding: Coding) -> Result<Answered, String> {
    let scrape = timeout(READING_TIME_MAX, newest(shared)).await.map_err(|_| {
        format!(
            "the machine could not be read within {} s",
            READING_TIME_MAX.as_secs()
        )
    })??;
    let text = text::write(&scrape, format).map_err(|error| error.to_string())?;
    let body = match coding {
        Coding::Plain => text.into_bytes(),
        Coding::Gzip => packed(text.as_bytes()).map_err(|error| error.to_string())?,
    };
    let mut response = response(StatusCode::OK, format.content_type(), body);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    if coding == Coding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// A reading that is fresh. The task that reads goes on when its client leaves, so that impatient clients
/// cannot make one reading start after the other.
async fn newest(shared: &Arc<Shared>) -> Result<Arc<Scrape>, String> {
    let mut latest = Arc::clone(&shared.latest).lock_owned().await;
    if let Some(latest) = latest.as_ref().filter(|latest| latest.at.elapsed() < FRESH) {
        return Ok(Arc::clone(&latest.scrape));
    }
    let shared = Arc::clone(shared);
    let reading = tokio::spawn(async move {
        let scrape = tokio::task::spawn_blocking(move || read(&shared)).await;
        let scrape = scrape.map_err(|error| error.to_string())??;
        let scrape = Arc::new(scrape);
        *latest = Some(Latest {
            at: Instant::now(),
            scrape: Arc::clone(&scrape),
        });
        Ok(scrape)
    });
    reading.await.map_err(|error| error.to_string())?
}

fn read(shared: &Shared) -> Result<Scrape, String> {
    let mut gatherer = shared.gatherer.lock().map_err(|error| error.to_string())?;
    let mut scrape = gatherer.gather()?;
    scrape.exporter.errors = shared.errors.counts();
    Ok(scrape)
}

fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn response(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answered {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
