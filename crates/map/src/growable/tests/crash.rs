//! A log that is killed: nothing that was acknowledged is lost.

use super::*;
use std::os::fd::AsFd;

/// FNV-1a, 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Record `number`: its payload's length and checksum, the payload: the number, and as many bytes of it as
/// its value says.
fn record(number: u64) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(8 + (number as usize * 37) % 5000, number as u8);
    let mut bytes = (payload.len() as u64).to_le_bytes().to_vec();
    bytes.extend(checksum(&payload).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// The records of a log, as far as they are whole, and where the last one ends.
fn recover(log: &Growable) -> (u64, usize) {
    let bytes = contents(log);
    let (mut count, mut at) = (0, 0);
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    while let (Some(len), Some(sum)) = (word(at), word(at + 8)) {
        let end = (at + 16).saturating_add(len as usize);
        let Some(payload) = bytes.get(at + 16..end) else {
            break;
        };
        if len < 8 || checksum(payload) != sum {
            break;
        }
        assert!(
            bytes[at..end] == record(count),
            "record {count} is whole but another"
        );
        (count, at) = (count + 1, end);
    }
    (count, at)
}

/// Appends records for ever, and acknowledges each flush through `acknowledge`.
fn run(file: &impl AsFd, growth: Growth, mut acknowledge: impl Write) {
    let mut log = Growable::open_with(file, CAPACITY, growth).unwrap();
    let (mut next, end) = recover(&log);
    log.truncate(end).unwrap();
    loop {
        log.append(&record(next)).unwrap();
        next += 1;
        if next.is_multiple_of(3) {
            log.flush(..).unwrap();
            acknowledge.write_all(&next.to_le_bytes()).unwrap();
        }
    }
}

#[test]
fn no_acknowledged_record_is_lost_in_200_kills() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for growth in EVERY {
        let file = tempfile::tempfile().unwrap();
        let mut acknowledged = 0;
        for _ in 0..50 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (mut heard, said) = std::io::pipe().unwrap();
            let child = Child::start(|| run(&file, growth, &said));
            drop(said);
            // Not before it runs, then after a random time.
            let mut number = [0; 8];
            heard.read_exact(&mut number).unwrap();
            std::thread::sleep(std::time::Duration::from_micros(random % 3000));
            child.kill();
            assert_eq!(child.end(), Err(libc::SIGKILL));
            let mut words = number.to_vec();
            heard.read_to_end(&mut words).unwrap();
            let last = words.chunks_exact(8).next_back().unwrap();
            let now = u64::from_le_bytes(last.try_into().unwrap());
            assert!(now > acknowledged, "{now} after {acknowledged}");
            acknowledged = now;
            let log = std::mem::ManuallyDrop::new(Growable::open(&file, CAPACITY).unwrap());
            let (count, _) = recover(&log);
            assert!(
                count >= acknowledged,
                "{acknowledged} acknowledged, {count} found ({growth:?})"
            );
        }
    }
}
