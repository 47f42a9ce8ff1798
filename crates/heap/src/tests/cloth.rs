//! What the tests write into blocks, and how they see that it is still there.

#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::vec::Vec;

const LOOM: usize = 4096;

/// Bytes without a period shorter than their number; a block's contents are a window of them, repeated.
fn cloth() -> &'static [u8] {
    static CLOTH: OnceLock<Vec<u8>> = OnceLock::new();
    CLOTH.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let step = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Never 0: zeros are told apart from contents.
            (state >> 33) as u8 | 1
        };
        (0..2 * LOOM).map(step).collect()
    })
}

fn bytes<'a>(address: usize, length: usize) -> &'a mut [u8] {
    // SAFETY: the callers pass live blocks of the heap, which nobody else uses: the world is one thread.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::with_exposed_provenance_mut(address), length) }
}

pub(super) fn weave(address: usize, length: usize, seed: usize) {
    for part in bytes(address, length).chunks_mut(LOOM) {
        part.copy_from_slice(&cloth()[seed % LOOM..][..part.len()]);
    }
}

pub(super) fn assert_woven(address: usize, length: usize, seed: usize, when: &str) {
    for (n, part) in bytes(address, length).chunks(LOOM).enumerate() {
        assert!(
            part == &cloth()[seed % LOOM..][..part.len()],
            "block {address:#x}, page {n}: contents lost {when}"
        );
    }
}

/// Whether `length` bytes at `address` are all zeros.
pub(super) fn is_blank(address: usize, length: usize) -> bool {
    let same = |part: &[u8]| part == &[0; LOOM][..part.len()];
    bytes(address, length).chunks(LOOM).all(same)
}
