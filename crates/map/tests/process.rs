//! process_madvise: another process is advised, and many ranges of one's own in one call.
#![allow(unsafe_code)]

mod child;
mod kernel;
mod memory;
#[path = "../src/skip.rs"]
mod skip;

use child::{End, end, in_child, start};
use kernel::{bytes, bytes_of, skip};
use memory::{PAGE, filled, until};
use neap_map::{Anon, Discards, Feature, Hint, Hints, Kind, Process};

#[test]
fn another_process_is_advised() {
    in_child(|| {
        let told = Anon::shared(8).map().unwrap();
        let pid = start(|| {
            // Memory of the child's own: what it shares with its parent is not advised.
            let map = filled(16 * PAGE);
            told.write_at(0, &map.as_ptr().addr().to_ne_bytes()).unwrap();
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
            drop(map);
        });
        let address = loop {
            match usize::from_ne_bytes(told.read(0).unwrap()) {
                0 => std::thread::yield_now(),
                address => break address,
            }
        };
        let process = Process::open(pid.cast_unsigned()).unwrap();
        let ranges = [address..address + PAGE, address + 8 * PAGE..address + 9 * PAGE];
        let advised = process.hint(&ranges, Hint::Cold);
        let number = pid.to_string();
        // While somebody else looks at a page the kernel passes it over.
        let is_cold = || {
            process.hint(&ranges, Hint::Cold).unwrap();
            bytes_of(&number, address, "Referenced") == 14 * PAGE
        };
        if advised.is_ok() {
            until("cooling", is_cold);
        }
        let foreign = process.hint(&ranges, Hint::Random);
        // SAFETY: ends the child started above.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        assert_eq!(end(pid), End::Killed(libc::SIGKILL));
        match advised {
            Ok(bytes) => assert_eq!(bytes, 2 * PAGE),
            Err(error) => {
                let unable = [Kind::Unsupported(Feature::ProcessAdvice), Kind::NotPermitted];
                assert!(unable.contains(&error.kind()), "{error}");
                return skip("another_process_is_advised", &error.to_string());
            }
        }
        let feature = Kind::Unsupported(Feature::ProcessAdvice);
        assert_eq!(foreign.unwrap_err().kind(), feature);
        assert_eq!(
            process.hint(&ranges, Hint::Cold).unwrap_err().kind(),
            Kind::NotFound
        );
        assert_eq!(Process::open(0).unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn many_ranges_are_advised_in_one_call() {
    in_child(|| {
        let (first, second) = (filled(4 * PAGE), filled(4 * PAGE));
        let (mut first, mut second) = (first, second);
        let cold = Hints::new().add(&first, ..).unwrap().add(&second, 1..2).unwrap();
        match cold.give(Hint::Cold) {
            Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => {
                return skip("many_ranges", &error.to_string());
            }
            answer => assert_eq!(answer, Ok(5 * PAGE)),
        }
        until("cooling", || {
            let cold = Hints::new().add(&first, ..).unwrap().add(&second, 1..2).unwrap();
            assert_eq!(cold.give(Hint::Cold), Ok(5 * PAGE));
            let referenced = [first.as_ptr(), second.as_ptr()].map(|map| bytes(map, "Referenced"));
            referenced == [0, 3 * PAGE]
        });
        let some = [0..PAGE, 2 * PAGE..3 * PAGE];
        let discards = Discards::new().add(&mut first, &some).unwrap();
        let discards = discards.add(&mut second, &[PAGE + 1..3 * PAGE, 0..0]).unwrap();
        assert_eq!(discards.give_up(), Ok(3 * PAGE));
        let firsts = |map: &[u8]| [0, 1, 2, 3].map(|page| map[page * PAGE]);
        assert_eq!(firsts(&first), [0, 0xab, 0, 0xab]);
        assert_eq!(firsts(&second), [0xab, 0xab, 0, 0xab]);
        assert_eq!(Hints::new().give(Hint::Cold), Ok(0));
    });
}
