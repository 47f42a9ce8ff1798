//! Rings between processes: that work, that die, that lie.

use super::*;
use crate::ring::end::{End, Side};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

const BYTES: usize = 2_000_000;

fn send(ring: &SharedRing, bytes: usize) {
    let mut producer = ring.producer().unwrap();
    let (mut at, mut size) = (0, 1);
    while at < bytes {
        size = size * 7 % 6151;
        let piece: Vec<u8> = (at..at + size).map(pattern).collect();
        producer.write_all(&piece).unwrap();
        at += size;
    }
}

#[test]
fn a_process_gets_what_the_other_sends() {
    for capacity in [PAGE, 3 * PAGE] {
        let ring = SharedRing::create(capacity).unwrap();
        let child = Child::start(|| send(&ring, BYTES));
        let mut consumer = ring.consumer().unwrap();
        let mut all = Vec::new();
        // The child may not be there yet: that is no death.
        consumer.read_to_end(&mut all).unwrap();
        assert!(all.len() >= BYTES && all.iter().enumerate().all(|(at, &byte)| byte == pattern(at)));
        assert_eq!(child.end(), Ok(0));
    }
}

#[test]
fn an_end_is_taken_once_and_free_again_when_dropped() {
    let ring = SharedRing::create(PAGE).unwrap();
    let other = SharedRing::open(&ring).unwrap();
    let producer = ring.producer().unwrap();
    assert_eq!(producer.capacity(), PAGE);
    assert_eq!(other.producer().unwrap_err().kind(), Kind::Busy);
    in_child(|| assert_eq!(other.producer().unwrap_err().kind(), Kind::Busy));
    drop(producer);
    let mut producer = other.producer().unwrap();
    producer.write_all(&[1, 2]).unwrap();
    let mut consumer = ring.consumer().unwrap();
    assert_eq!(consumer.read(&mut [0]).unwrap(), 1);
    drop(consumer);
    assert_eq!(producer.try_write(&[3]).unwrap_err().kind(), Kind::Closed);
    assert_eq!(
        Write::write(&mut producer, &[3]).unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    let mut next = ring.consumer().unwrap();
    let mut bytes = [0; 2];
    assert_eq!((next.read(&mut bytes).unwrap(), bytes[0]), (1, 2));
    assert_eq!(next.try_read(&mut bytes).unwrap_err().kind(), Kind::WouldBlock);
}

#[test]
fn a_killed_producer_is_noticed_after_its_last_byte() {
    let ring = SharedRing::create(PAGE).unwrap();
    let (mut heard, mut said) = std::io::pipe().unwrap();
    let child = Child::start(|| {
        let mut producer = ring.producer().unwrap();
        producer.write_all(b"last words").unwrap();
        said.write_all(&[0]).unwrap();
        std::thread::sleep(Duration::from_secs(1000));
    });
    heard.read_exact(&mut [0]).unwrap();
    let mut consumer = ring.consumer().unwrap();
    std::thread::scope(|s| {
        let reading = s.spawn(move || {
            let mut bytes = [0; 10];
            consumer.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"last words");
            (consumer.read(&mut bytes).unwrap_err().kind(), consumer)
        });
        child.kill();
        assert_eq!(child.end(), Err(libc::SIGKILL));
        let (kind, mut consumer) = reading.join().unwrap();
        assert_eq!(kind, Kind::PeerDied);
        // Another takes its place.
        ring.producer().unwrap().write_all(&[7]).unwrap();
        let mut byte = [0];
        assert_eq!((consumer.read(&mut byte).unwrap(), byte[0]), (1, 7));
        assert_eq!(consumer.read(&mut byte).unwrap(), 0);
    });
}

#[test]
fn a_killed_consumer_is_noticed_when_the_ring_is_full() {
    let ring = SharedRing::create(PAGE).unwrap();
    let (mut heard, mut said) = std::io::pipe().unwrap();
    let child = Child::start(|| {
        let _consumer = ring.consumer().unwrap();
        said.write_all(&[0]).unwrap();
        std::thread::sleep(Duration::from_secs(1000));
    });
    heard.read_exact(&mut [0]).unwrap();
    let mut producer = ring.producer().unwrap();
    assert_eq!(producer.write(&[1; 5000]).unwrap(), PAGE);
    producer.set_timeout(Some(Duration::from_millis(150)));
    assert_eq!(producer.write(&[1]).unwrap_err().kind(), Kind::TimedOut);
    producer.set_timeout(None);
    child.kill();
    assert_eq!(producer.write(&[1]).unwrap_err().kind(), Kind::PeerDied);
}

#[test]
fn a_wait_ends_at_its_limit() {
    let ring = SharedRing::create(PAGE).unwrap();
    let mut consumer = ring.consumer().unwrap();
    consumer.set_timeout(Some(Duration::from_millis(1)));
    assert_eq!(consumer.read(&mut [0]).unwrap_err().kind(), Kind::TimedOut);
    assert_eq!(
        Read::read(&mut consumer, &mut [0]).unwrap_err().kind(),
        io::ErrorKind::TimedOut
    );
    assert_eq!(consumer.read(&mut []).unwrap(), 0);
}

#[test]
fn counts_that_cannot_be_are_refused() {
    let set = |end: &End, side: Side, value: u64| {
        let count: &AtomicU64 = match side {
            Side::Producer => &end.header().head.0,
            Side::Consumer => &end.header().tail.0,
        };
        count.store(value, Ordering::SeqCst);
    };
    for lie in [0, 99, 100 + PAGE as u64 + 1, 1 << 63, u64::MAX] {
        let ring = SharedRing::create(PAGE).unwrap();
        let mut producer = ring.producer().unwrap();
        producer.write_all(&[1; 100]).unwrap();
        let mut consumer = ring.consumer().unwrap();
        consumer.read(&mut [0; 100]).unwrap();
        drop(producer);
        let liar = End::attach(ring.as_fd(), Side::Producer).unwrap();
        set(&liar, Side::Producer, lie);
        assert_eq!(
            consumer.try_read(&mut [0; 9000]).unwrap_err().kind(),
            Kind::Protocol,
            "{lie}"
        );
        assert_eq!(consumer.read(&mut [0; 9000]).unwrap_err().kind(), Kind::Protocol);
    }
    for lie in [99, 101, 1 << 63, u64::MAX] {
        let ring = SharedRing::create(PAGE).unwrap();
        let mut producer = ring.producer().unwrap();
        producer.write_all(&[1; 100]).unwrap();
        let liar = End::attach(ring.as_fd(), Side::Consumer).unwrap();
        set(&liar, Side::Consumer, 100);
        assert_eq!(producer.room().unwrap(), PAGE);
        set(&liar, Side::Consumer, lie);
        assert_eq!(
            producer.try_write(&[2]).unwrap_err().kind(),
            Kind::Protocol,
            "{lie}"
        );
        assert_eq!(
            Write::write(&mut producer, &[2]).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
    let ring = SharedRing::create(PAGE).unwrap();
    let liar = End::attach(ring.as_fd(), Side::Producer).unwrap();
    for (head, tail) in [(0, 1), (PAGE as u64 + 1, 0), (u64::MAX, u64::MAX - 5)] {
        set(&liar, Side::Producer, head);
        set(&liar, Side::Consumer, tail);
        assert_eq!(
            ring.consumer().unwrap_err().kind(),
            Kind::Protocol,
            "{head} {tail}"
        );
    }
}

#[test]
fn rubbish_all_over_the_header_and_holes_do_no_harm() {
    use std::os::unix::fs::FileExt;
    let ring = SharedRing::create(PAGE).unwrap();
    let file = std::fs::File::from(ring.as_fd().try_clone_to_owned().unwrap());
    let mut fresh = [0; PAGE];
    file.read_exact_at(&mut fresh, 0).unwrap();
    let mut random = 1_u64;
    for _ in 0..2_000 {
        file.write_all_at(&fresh, 0).unwrap();
        let mut consumer = ring.consumer().unwrap();
        let mut producer = ring.producer().unwrap();
        consumer.set_timeout(Some(Duration::from_micros(1)));
        producer.set_timeout(Some(Duration::from_micros(1)));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let words = [random, random >> 50, u64::MAX, 1, 0, 2];
        let word = words[(random >> 20) as usize % 6].to_le_bytes();
        file.write_all_at(&word, random % (4096 - 8)).unwrap();
        let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if random.is_multiple_of(7) {
            fallocate(&file, holes, 0, 2 * PAGE as u64).unwrap();
        }
        // Whatever comes back, it comes back.
        let _ = producer.write(&[1; 100]);
        let _ = consumer.read(&mut [0; 200]);
        let _ = producer.write(&[1; 5000]);
    }
}

#[test]
fn what_is_not_a_ring_is_not_opened() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(3 * PAGE as u64).unwrap();
    assert_eq!(SharedRing::open(&file).unwrap_err().kind(), Kind::Foreign);
    let unsealed = memory(3 * PAGE).unwrap();
    assert_eq!(SharedRing::open(&unsealed).unwrap_err().kind(), Kind::Foreign);
    for len in [0, 1, PAGE, PAGE + 1, 3 * PAGE] {
        let fd = memfd_create("not", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&fd, len as u64).unwrap();
        let seals = rustix::fs::SealFlags::SHRINK | rustix::fs::SealFlags::GROW;
        rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
        assert_eq!(SharedRing::open(&fd).unwrap_err().kind(), Kind::Foreign, "{len}");
    }
}
