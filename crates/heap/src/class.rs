//! Size classes: which block sizes exist and which class serves a request.
//!
//! Owns the table of the [`COUNT`] classes: steps of 16 bytes to 512, then eight a doubling to 8 KiB. Pure arithmetic over constants. Every block size is a multiple of 16, no
//! request wastes more than 12.5 % above 128 bytes, and every class of a slab starts at a multiple
//! of its size from a 64 KiB boundary, so a size that is a multiple of `a` gives blocks aligned to `a`.

use crate::layout::{GRANULE, PAGE, PAGES_PER_GRANULE};

/// Number of size classes.
pub(crate) const COUNT: usize = 64;
/// The largest block of a slab; larger requests get runs of pages.
pub(crate) const LARGEST: usize = 8192;
/// Requests up to here find their place in the hand by size alone: `(size + 15) / 16`.
pub(crate) const DIRECT: usize = 512;
/// Places in a hand (see `crate::hand`): each class's is its number + 1. Place 0, that of malloc(0), stays
/// empty.
pub(crate) const PLACES: usize = COUNT + 1;

/// A size class by number, smallest first. Always below [`COUNT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Class(u8);

const SIZES: [u16; COUNT] = sizes();
/// `STARTS[c][p]`: the first block of class c that starts on or after page p of its slab.
const STARTS: [[u16; PAGES_PER_GRANULE + 1]; COUNT] = starts();

const fn sizes() -> [u16; COUNT] {
    let mut out = [0u16; COUNT];
    let mut n = 0;
    let mut size = 0u16;
    while n < COUNT {
        let step = if size < 512 {
            16
        } else if size < 1024 {
            64
        } else if size < 2048 {
            128
        } else if size < 4096 {
            256
        } else {
            512
        };
        size += step;
        out[n] = size;
        n += 1;
    }
    out
}

const fn starts() -> [[u16; PAGES_PER_GRANULE + 1]; COUNT] {
    let mut out = [[0u16; PAGES_PER_GRANULE + 1]; COUNT];
    let mut c = 0;
    while c < COUNT {
        let size = SIZES[c] as usize;
        let capacity = GRANULE / size;
        let mut p = 0;
        while p <= PAGES_PER_GRANULE {
            let first = (p * PAGE).div_ceil(size);
            out[c][p] = if first > capacity {
                capacity as u16
            } else {
                first as u16
            };
            p += 1;
        }
        c += 1;
    }
    out
}

const _: () = assert!(SIZES[31] as usize == DIRECT && SIZES[COUNT - 1] as usize == LARGEST);
const _: () = assert!(COUNT <= neap_abi::CLASSES && COUNT == neap_abi::anatomy::CLASSES);
const _: () = {
    let mut n = 0;
    while n < COUNT {
        assert!(matches!(neap_abi::anatomy::block_bytes(n), Some(bytes) if bytes == SIZES[n] as u64));
        n += 1;
    }
};

/// `PLACE[(size - 1) / 64]`: where the hand holds blocks for `size`, from [`DIRECT`] to [`LARGEST`].
pub static PLACE: [u8; LARGEST / 64] = {
    let mut out = [0; LARGEST / 64];
    let mut n = 0;
    while n < out.len() {
        out[n] = Class::of_size((n + 1) * 64).0 + 1;
        n += 1;
    }
    out
};

/// Where the hand holds blocks for requests of `size` bytes; [`PLACES`] if nowhere.
#[inline(always)]
pub(crate) fn place_of(size: usize) -> usize {
    if size <= DIRECT {
        return (size + 15) >> 4;
    }
    match PLACE.get((size - 1) >> 6) {
        Some(place) => usize::from(*place),
        None => PLACES,
    }
}

impl Class {
    /// The smallest class whose blocks hold `size` bytes. `size` must be at most [`LARGEST`].
    #[inline]
    pub(crate) const fn of_size(size: usize) -> Class {
        debug_assert!(size <= LARGEST);
        let n = if size <= DIRECT {
            if size == 0 { 0 } else { (size - 1) >> 4 }
        } else {
            // Eight steps a doubling: the top three bits below the leading one choose the step.
            let last = size - 1;
            let log = last.ilog2() as usize;
            32 + (log - 9) * 8 + ((last >> (log - 3)) & 7)
        };
        Class(n as u8)
    }

    /// The class with number `n`, if there is one.
    #[inline]
    pub(crate) const fn from_number(n: usize) -> Option<Class> {
        if n < COUNT { Some(Class(n as u8)) } else { None }
    }

    /// Every class, smallest blocks first.
    pub(crate) fn all() -> impl Iterator<Item = Class> {
        (0..COUNT).filter_map(Class::from_number)
    }

    /// The class's number.
    #[inline]
    pub(crate) const fn number(self) -> usize {
        // The hint lets the compiler drop bounds checks on tables of COUNT entries.
        let n = self.0 as usize;
        if n < COUNT { n } else { COUNT - 1 }
    }

    /// The class's place in a hand. Always below [`PLACES`].
    #[inline]
    pub(crate) const fn place(self) -> usize {
        self.number() + 1
    }

    /// Bytes of one block.
    #[inline]
    pub(crate) const fn size(self) -> usize {
        SIZES[self.number()] as usize
    }

    /// Blocks of one slab.
    #[inline]
    pub(crate) const fn capacity(self) -> u32 {
        STARTS[self.number()][PAGES_PER_GRANULE] as u32
    }

    /// The blocks that start on page `page` of a slab, as a half-open range of block numbers.
    #[inline]
    pub(crate) const fn blocks_on_page(self, page: usize) -> (u32, u32) {
        let row = &STARTS[self.number()];
        if page < PAGES_PER_GRANULE {
            (row[page] as u32, row[page + 1] as u32)
        } else {
            (0, 0)
        }
    }

    /// The smallest class of at least `size` bytes whose blocks are all aligned to `align`, if a
    /// slab can serve it.
    pub(crate) fn aligned(size: usize, align: usize) -> Option<Class> {
        if size > LARGEST || align > LARGEST {
            return None;
        }
        let wanted = size.max(align);
        if wanted > LARGEST {
            return None;
        }
        let mut n = Class::of_size(wanted).number();
        while let Some(class) = Class::from_number(n) {
            if class.size().is_multiple_of(align) {
                return Some(class);
            }
            n += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for size in 0..=LARGEST {
            let class = Class::of_size(size);
            assert!(class.size() >= size && class.size() >= 16, "{size}");
            if class.number() > 0 {
                let smaller = Class::from_number(class.number() - 1).unwrap();
                assert!(smaller.size() < size, "{size} got {}", class.size());
            }
            if size > 128 {
                assert!(
                    (class.size() - size) * 8 <= class.size(),
                    "{size} wastes more than an eighth"
                );
            }
        }
    }

    #[test]
    fn a_size_and_its_class_have_one_place() {
        for size in 1..=LARGEST {
            assert_eq!(place_of(size), Class::of_size(size).place(), "{size}");
        }
        assert_eq!(place_of(LARGEST + 1), PLACES);
        assert_eq!(place_of(0), 0);
        assert_eq!(place_of(usize::MAX), PLACES);
    }

    #[test]
    fn aligned_classes_have_aligned_blocks_and_enough_room() {
        for shift in 4..=13 {
            let align = 1 << shift;
            for size in 0..=LARGEST {
                let class = Class::aligned(size, align).unwrap();
                assert!(class.size() >= size && class.size().is_multiple_of(align));
            }
        }
        assert_eq!(Class::aligned(16, 16384), None);
    }

    #[test]
    fn the_pages_of_a_slab_share_out_all_its_blocks() {
        for class in Class::all() {
            let mut next = 0;
            for page in 0..PAGES_PER_GRANULE {
                let (first, end) = class.blocks_on_page(page);
                assert_eq!(first, next);
                for block in first..end {
                    assert_eq!(block as usize * class.size() / PAGE, page);
                }
                next = end;
            }
            assert_eq!(next, class.capacity());
            assert!(next as usize * class.size() <= GRANULE);
        }
    }
}
