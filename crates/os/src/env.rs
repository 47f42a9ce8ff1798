//! What the process was started with: the page size and other entries of the auxiliary vector, the
//! environment, and lengths written in it.
//!
//! Everything here reads memory that the kernel laid out before the first instruction, so it works in
//! the earliest constructor. Never allocates, never writes, makes no system call that can fail.
#![allow(unsafe_code)]

use crate::clock;
use crate::unit::PAGE;
use core::ffi::{CStr, c_char, c_ulong};
use core::ptr::{from_ref, with_exposed_provenance};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

const AT_PAGESZ: usize = 6;
const AT_CLKTCK: usize = 17;
const AT_SECURE: usize = 23;
const AT_RANDOM: usize = 25;

#[link(name = "c")]
unsafe extern "C" {
    fn getauxval(kind: c_ulong) -> c_ulong;
    static environ: *const *const c_char;
}

/// The auxiliary vector's entry `kind` (AT_*), or 0 if there is none.
pub(crate) fn auxiliary(kind: usize) -> usize {
    // c_ulong is as wide as usize on the supported targets.
    // SAFETY: getauxval reads the vector that the kernel left; it allocates nothing, and an unknown
    // kind is answered with 0.
    unsafe { getauxval(kind as c_ulong) as usize }
}

/// The base-2 logarithm of the kernel's page, or 0 before anybody asked. A shift rather than a size so
/// that the size is a power of two whatever is read.
static PAGE_SHIFT: AtomicU32 = AtomicU32::new(0);

#[cold]
fn learn_page_shift() -> u32 {
    let size = auxiliary(AT_PAGESZ);
    let shift = if size.is_power_of_two() && size >= PAGE {
        size.trailing_zeros()
    } else {
        PAGE.trailing_zeros()
    };
    PAGE_SHIFT.store(shift, Relaxed);
    shift
}

/// The kernel's page in bytes.
#[inline]
#[must_use]
pub fn page_size() -> usize {
    let shift = match PAGE_SHIFT.load(Relaxed) {
        0 => learn_page_shift(),
        known => known,
    };
    1 << (shift & 31)
}

/// Clock ticks of a second, in which `/proc` gives CPU times: 100 on x86_64 and aarch64.
#[must_use]
pub fn clock_ticks_per_second() -> u64 {
    match auxiliary(AT_CLKTCK) {
        0 => 100,
        ticks => ticks as u64,
    }
}

/// Whether the program runs with more rights than its caller (set-user-id, file capabilities): its
/// environment is then not to be trusted.
#[must_use]
pub fn secure() -> bool {
    auxiliary(AT_SECURE) != 0
}

/// A 64-bit number that differs between processes and between calls: the kernel's 16 random bytes
/// (AT_RANDOM), the stack's address and the clock. Good for hash seeds, too little for cryptography.
#[must_use]
pub fn random_seed() -> u64 {
    let here = 0u8;
    let mut seed = clock::monotonic_ns() ^ (from_ref(&here).addr() as u64).rotate_left(32);
    let random = with_exposed_provenance::<[u64; 2]>(auxiliary(AT_RANDOM));
    if !random.is_null() {
        // SAFETY: AT_RANDOM, where present, is the address of 16 bytes on the initial stack that stay
        // for the life of the process and that nothing writes; no alignment is assumed.
        let [a, b] = unsafe { random.read_unaligned() };
        seed = mix(seed ^ a) ^ b;
    }
    mix(seed)
}

/// The finaliser of SplitMix64: every input bit changes half of the output's.
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The value of the environment variable `name`, without the terminating zero. `None` if it is not
/// set, or if the C library has not set `environ` yet.
///
/// For a constructor, and to be used at once. C lets a program change its environment (`setenv`,
/// `putenv`, titles written over the initial stack) as long as no other thread reads it meanwhile and
/// nobody keeps the old value; as in `std::env`, whoever does that answers for it.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static [u8]> {
    // SAFETY: `environ` is null or a null-terminated array of C strings. It does not change during the
    // call, nor the value while it is used, by the rule above, which C imposes on every writer.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let bytes = CStr::from_ptr(*entry).to_bytes();
            if let Some(value) = bytes
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
            {
                return Some(value);
            }
            entry = entry.add(1);
        }
    }
    None
}

/// A length in bytes as people write it: decimal or `0x` hexadecimal, then optionally `K`, `M`, `G` or
/// `T` in either case (powers of 1024), optionally followed by `i` and `B`: `4096`, `0x1000`, `64K`,
/// `64KB`, `64KiB`. `None` for anything else and for a value over [`usize::MAX`].
#[must_use]
pub fn parse_bytes(text: &[u8]) -> Option<usize> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
        _ => (text, 10),
    };
    let end = digits
        .iter()
        .position(|&b| !char::from(b).is_digit(radix))
        .unwrap_or(digits.len());
    let (digits, suffix) = digits.split_at_checked(end)?;
    let shift = match suffix {
        [] | [b'B' | b'b'] => 0,
        [unit, rest @ ..] => {
            if !matches!(
                rest,
                [] | [b'B' | b'b'] | [b'i' | b'I'] | [b'i' | b'I', b'B' | b'b']
            ) {
                return None;
            }
            match unit.to_ascii_uppercase() {
                b'K' => 10,
                b'M' => 20,
                b'G' => 30,
                b'T' => 40,
                _ => return None,
            }
        }
    };
    if digits.is_empty() {
        return None;
    }
    digits
        .iter()
        .try_fold(0usize, |value, &digit| {
            let digit = usize::try_from(char::from(digit).to_digit(radix)?).ok()?;
            value
                .checked_mul(usize::try_from(radix).ok()?)?
                .checked_add(digit)
        })?
        .checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("0x1000", 4096),
            ("0X1f", 31),
            ("0x10B", 0x10b),
            ("0x10K", 16 << 10),
            ("64k", 64 << 10),
            ("64KB", 64 << 10),
            ("64Ki", 64 << 10),
            ("64KiB", 64 << 10),
            ("3M", 3 << 20),
            ("2gib", 2 << 30),
            ("1T", 1 << 40),
            ("18446744073709551615", usize::MAX),
        ] {
            assert_eq!(parse_bytes(text.as_bytes()), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_is_none() {
        for text in [
            "",
            "K",
            "0x",
            "0xK",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.5M",
            "1KK",
            "1KBi",
            "1iB",
            "1P",
            "1_000",
            "18446744073709551616",
            "16777216T",
            "\u{663}",
        ] {
            assert_eq!(parse_bytes(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn lookup_finds_whole_names_only() {
        let path = std::env::var("PATH").unwrap();
        assert_eq!(lookup("PATH"), Some(path.as_bytes()));
        assert_eq!(lookup("PAT"), None);
        assert_eq!(lookup("NEAP_NOT_SET"), None);
    }

    #[test]
    fn lookup_survives_a_missing_environment() {
        unsafe extern "C" {
            fn clearenv() -> core::ffi::c_int;
        }
        crate::child::in_child(|| {
            // SAFETY: the child has one thread. glibc sets `environ` to null.
            unsafe {
                clearenv();
                assert!(environ.is_null());
                assert_eq!(lookup("PATH"), None);
            }
        });
    }

    #[test]
    fn the_seed_differs_from_call_to_call() {
        let seeds: std::collections::HashSet<u64> = (0..100).map(|_| random_seed()).collect();
        assert!(seeds.len() > 90);
    }

    #[test]
    fn tests_are_not_run_set_user_id() {
        assert!(!secure());
        assert_eq!(auxiliary(AT_PAGESZ), page_size());
        assert_eq!(auxiliary(9999), 0);
    }
}
