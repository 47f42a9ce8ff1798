//! Resource limits that bound memory: RLIMIT_AS and RLIMIT_DATA, soft values, in bytes.
//!
//! Reads, never sets.
#![allow(unsafe_code)]

use crate::syscall::{Call, syscall4};

const RLIMIT_DATA: usize = 2;
const RLIMIT_AS: usize = 9;

#[repr(C)]
struct Limit {
    soft: u64,
    hard: u64,
}

fn soft(resource: usize) -> Option<usize> {
    let mut limit = Limit {
        soft: u64::MAX,
        hard: u64::MAX,
    };
    // SAFETY: (1) prlimit64 of process 0 (this one) without a new limit writes two u64 to `limit`.
    unsafe {
        syscall4(
            Call::PRLIMIT64,
            0,
            resource,
            0,
            (&raw mut limit).expose_provenance(),
        )
    }
    .ok()?;
    match limit.soft {
        u64::MAX => None,
        bytes => usize::try_from(bytes).ok(),
    }
}

/// How much address space the process may have mapped (`ulimit -v`). `None` if that is unlimited or
/// cannot be learnt (prlimit64 needs 2.6.36).
#[must_use]
pub fn address_space() -> Option<usize> {
    soft(RLIMIT_AS)
}

/// How much writable private memory and break the process may have (`ulimit -d`; private mappings
/// count since 4.7). `None` as for [`address_space`].
#[must_use]
pub fn data_segment() -> Option<usize> {
    soft(RLIMIT_DATA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::in_child;

    #[test]
    fn limits_are_read_as_set() {
        in_child(|| {
            let set = |resource, bytes: u64| {
                let limit = Limit {
                    soft: bytes,
                    hard: u64::MAX,
                };
                // SAFETY: (1) reads two u64; limits the child only, and generously.
                unsafe {
                    syscall4(
                        Call::PRLIMIT64,
                        0,
                        resource,
                        (&raw const limit).expose_provenance(),
                        0,
                    )
                }
                .unwrap();
            };
            set(RLIMIT_AS, 1 << 42);
            set(RLIMIT_DATA, u64::MAX);
            assert_eq!(address_space(), Some(1 << 42));
            assert_eq!(data_segment(), None);
            set(RLIMIT_AS, u64::MAX);
            set(RLIMIT_DATA, 1 << 41);
            assert_eq!(address_space(), None);
            assert_eq!(data_segment(), Some(1 << 41));
        });
    }
}
