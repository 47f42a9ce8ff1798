use super::*;
use crate::child::{Child, address_space, exhaust_maps, in_child, limit};
use proptest::prelude::*;
use std::collections::VecDeque;

mod hostile;

const PAGE: usize = 4096;

fn pattern(at: usize) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

#[test]
fn room_and_contents_are_one_slice_wherever_they_start() {
    for pages in [1, 3] {
        let capacity = pages * PAGE;
        let ring = Ring::new(capacity - 1).unwrap();
        assert_eq!(ring.capacity(), capacity);
        let (mut producer, mut consumer) = ring.split();
        let mut at = 0;
        for step in [1, 1000, capacity - 1, capacity, 17].repeat(20) {
            let room = producer.writable();
            assert_eq!(room.len(), capacity);
            room[..step]
                .iter_mut()
                .zip(at..)
                .for_each(|(byte, at)| *byte = pattern(at));
            producer.commit(step);
            assert_eq!(producer.writable().len(), capacity - step);
            let bytes = consumer.readable();
            assert!(bytes.len() == step && bytes.iter().zip(at..).all(|(&byte, at)| byte == pattern(at)));
            consumer.consume(step);
            at += step;
        }
        assert!(consumer.readable().is_empty());
    }
}

#[test]
fn a_thread_gets_what_the_other_sends() {
    const BYTES: usize = 3_000_000;
    // Room for what each may wait for at once: neither waits for ever.
    let (mut producer, mut consumer) = Ring::new(2 * PAGE).unwrap().split();
    std::thread::scope(|s| {
        s.spawn(move || {
            let (mut at, mut size) = (0, 1);
            while at < BYTES {
                size = size * 7 % 4093;
                let room = producer.wait_writable(size).unwrap();
                room[..size]
                    .iter_mut()
                    .zip(at..)
                    .for_each(|(byte, at)| *byte = pattern(at));
                producer.commit(size);
                at += size;
            }
        });
        let mut at = 0;
        loop {
            let wish = 1 + at % 900;
            let bytes = consumer.wait_readable(wish).unwrap();
            assert!(bytes.iter().zip(at..).all(|(&byte, at)| byte == pattern(at)));
            if bytes.is_empty() {
                break;
            }
            let len = bytes.len().min(2 * wish);
            consumer.consume(len);
            at += len;
        }
        assert!(at >= BYTES && consumer.is_closed());
    });
}

#[test]
fn a_ring_is_a_stream_with_an_end() {
    let (mut producer, mut consumer) = Ring::new(PAGE).unwrap().split();
    let text: String = (0..5_000).map(|number| format!("line {number}\n")).collect();
    std::thread::scope(|s| {
        let text = &text;
        s.spawn(move || producer.write_all(text.as_bytes()).unwrap());
        let mut lines = String::new();
        for _ in 0..1_000 {
            consumer.read_line(&mut lines).unwrap();
        }
        consumer.read_to_string(&mut lines).unwrap();
        assert!(lines == *text);
        assert_eq!(consumer.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_producer_without_a_consumer_is_told() {
    let (mut producer, mut consumer) = Ring::new(PAGE).unwrap().split();
    assert_eq!(producer.write(&[1; 5000]).unwrap(), PAGE);
    assert!(!producer.is_closed() && !consumer.is_closed());
    std::thread::scope(|s| {
        let waiting = s.spawn(move || {
            let kind = producer.wait_writable(1).map(|_| ()).unwrap_err().kind();
            (
                kind,
                producer.write(&[1]).unwrap_err().kind(),
                producer.is_closed(),
            )
        });
        assert_eq!(consumer.readable().len(), PAGE);
        drop(consumer);
        let expected = (Kind::Closed, io::ErrorKind::BrokenPipe, true);
        assert_eq!(waiting.join().unwrap(), expected);
    });
}

#[test]
fn more_than_there_can_be_is_refused() {
    let (mut producer, mut consumer) = Ring::new(PAGE).unwrap().split();
    assert_eq!(
        producer.wait_writable(PAGE + 1).unwrap_err().kind(),
        Kind::Capacity
    );
    assert_eq!(
        consumer.wait_readable(PAGE + 1).unwrap_err().kind(),
        Kind::Capacity
    );
    assert_eq!(Ring::new(0).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(Ring::new(usize::MAX).unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(Ring::new(isize::MAX as usize).unwrap_err().kind(), Kind::TooLarge);
}

#[test]
#[should_panic(expected = "4097 bytes committed of 4096")]
fn committing_more_than_was_lent_panics() {
    let (mut producer, _consumer) = Ring::new(PAGE).unwrap().split();
    assert_eq!(producer.writable().len(), PAGE);
    producer.commit(PAGE + 1);
}

#[test]
#[should_panic(expected = "1 bytes consumed of 0")]
fn consuming_what_was_not_looked_at_panics() {
    let (mut producer, mut consumer) = Ring::new(PAGE).unwrap().split();
    producer.write_all(&[1]).unwrap();
    consumer.consume(1);
}

#[test]
fn a_refused_mapping_refuses_the_ring_and_harms_nothing() {
    in_child(|| {
        limit(libc::RLIMIT_AS, address_space() + (16 << 20));
        assert_eq!(Ring::new(16 << 20).unwrap_err().kind(), Kind::AddressSpaceLimit);
        Ring::new(PAGE).unwrap();
    });
    for left in 0..6 {
        in_child(|| {
            exhaust_maps(left);
            match Ring::new(PAGE) {
                Err(error) => assert_eq!(error.kind(), Kind::MapCountExhausted, "{left} left"),
                Ok(ring) => {
                    assert!(left >= 2, "{left} left");
                    let (mut producer, mut consumer) = ring.split();
                    producer.write_all(b"abc").unwrap();
                    assert_eq!(consumer.readable(), b"abc");
                }
            }
        });
    }
    in_child(|| {
        limit(libc::RLIMIT_NOFILE, 3);
        assert_eq!(Ring::new(PAGE).unwrap_err().kind(), Kind::TooManyFiles);
        assert_eq!(SharedRing::create(PAGE).unwrap_err().kind(), Kind::TooManyFiles);
    });
}

#[test]
fn the_child_of_a_fork_has_no_ring() {
    let (mut producer, _consumer) = Ring::new(PAGE).unwrap().split();
    let child = Child::start(|| producer.writable()[0] = 1);
    assert_eq!(child.end(), Err(libc::SIGSEGV));
    producer.writable()[0] = 1;
}

/// A bipartite model: what is in the queue, and nothing else.
#[derive(Clone, Debug)]
enum Step {
    Produce(usize),
    Consume(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6000usize).prop_map(Step::Produce),
        (0..6000usize).prop_map(Step::Consume)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rings_are_queues_of_bytes(steps in prop::collection::vec(step(), 1..60), pages in 1..3usize) {
        let (mut producer, mut consumer) = Ring::new(pages * PAGE).unwrap().split();
        let shared = SharedRing::create(pages * PAGE).unwrap();
        let (mut far, mut near) = (shared.producer().unwrap(), shared.consumer().unwrap());
        let mut model = VecDeque::new();
        let mut sent = 0;
        for step in steps {
            match step {
                Step::Produce(len) => {
                    let room = producer.writable();
                    prop_assert_eq!(room.len(), pages * PAGE - model.len());
                    let len = len.min(room.len());
                    let bytes: Vec<u8> = (sent..sent + len).map(pattern).collect();
                    room[..len].copy_from_slice(&bytes);
                    producer.commit(len);
                    match far.try_write(&bytes) {
                        Ok(written) => prop_assert_eq!(written, len),
                        Err(error) => panic!("{error}"),
                    }
                    model.extend(bytes);
                    sent += len;
                }
                Step::Consume(len) => {
                    prop_assert!(consumer.readable().iter().eq(model.iter()));
                    prop_assert_eq!(near.available().unwrap(), model.len());
                    let len = len.min(model.len());
                    let mut bytes = vec![0; len];
                    prop_assert_eq!(near.try_read(&mut bytes).unwrap(), len);
                    consumer.consume(len);
                    prop_assert!(model.drain(..len).eq(bytes));
                }
            }
        }
    }
}
