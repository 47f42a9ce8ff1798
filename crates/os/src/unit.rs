//! Units of memory: [`Bytes`], [`Pages`], [`HugePage`], [`PageNo`] and [`Span`].
//!
//! Owns the checked arithmetic on addresses and lengths. Never makes a system call and never
//! dereferences an address. A `Span` never wraps around the end of the address space.

/// The smallest page the library reckons in, in bytes. The running kernel's page may be larger
/// (see [`crate::vm::Vm::page_size`]); it is never smaller on the supported architectures.
pub const PAGE: usize = 4096;

/// A length in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Bytes(pub usize);

impl Bytes {
    /// The length rounded up to a multiple of `unit` (a power of two), or `None` on overflow.
    #[must_use]
    pub const fn round_up(self, unit: usize) -> Option<Bytes> {
        assert!(unit.is_power_of_two());
        match self.0.checked_add(unit - 1) {
            Some(n) => Some(Bytes(n & !(unit - 1))),
            None => None,
        }
    }
    /// The whole pages that cover this length, or `None` on overflow.
    #[must_use]
    pub const fn to_pages(self) -> Option<Pages> {
        match self.round_up(PAGE) {
            Some(b) => Some(Pages(b.0 / PAGE)),
            None => None,
        }
    }
    /// The sum, or `None` on overflow.
    #[must_use]
    pub const fn checked_add(self, other: Bytes) -> Option<Bytes> {
        match self.0.checked_add(other.0) {
            Some(n) => Some(Bytes(n)),
            None => None,
        }
    }
    /// The difference, or `None` when `other` is larger.
    #[must_use]
    pub const fn checked_sub(self, other: Bytes) -> Option<Bytes> {
        match self.0.checked_sub(other.0) {
            Some(n) => Some(Bytes(n)),
            None => None,
        }
    }
}

/// A count of 4 KiB pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Pages(pub usize);

impl Pages {
    /// The length in bytes, or `None` on overflow.
    #[must_use]
    pub const fn to_bytes(self) -> Option<Bytes> {
        match self.0.checked_mul(PAGE) {
            Some(n) => Some(Bytes(n)),
            None => None,
        }
    }
}

/// A huge page's size. Which there are depends on the processor and the kernel: /sys/kernel/mm/hugepages.
/// One that is not there is `EINVAL` from the call that asks for it, an empty pool `ENOMEM`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct HugePage {
    /// The base-2 logarithm of the bytes, or 0.
    log2: u32,
}

impl HugePage {
    /// The machine's default (Hugepagesize in /proc/meminfo).
    pub const DEFAULT: HugePage = HugePage { log2: 0 };
    /// 2 MiB, on `x86_64` and on aarch64 with pages of 4 KiB.
    pub const MIB_2: HugePage = HugePage { log2: 21 };
    /// 1 GiB, likewise.
    pub const GIB_1: HugePage = HugePage { log2: 30 };

    /// A size that is a power of two, 2 bytes or more; `None` for others.
    #[must_use]
    pub const fn of(size: Bytes) -> Option<HugePage> {
        if size.0 < 2 || !size.0.is_power_of_two() {
            return None;
        }
        Some(HugePage {
            log2: size.0.trailing_zeros(),
        })
    }
    /// The size, or `None` for the default, which the kernel alone knows.
    #[must_use]
    pub const fn bytes(self) -> Option<Bytes> {
        match self.log2 {
            0 => None,
            log2 => Some(Bytes(1 << log2)),
        }
    }
    /// As mmap(2), memfd_create(2) and shmget(2) take it beside their HUGETLB flag: six bits from bit 26 on
    /// (asm-generic/hugetlb_encode.h).
    #[must_use]
    pub const fn flags(self) -> usize {
        (self.log2 as usize) << 26
    }
}

/// The number of a page: its address divided by [`PAGE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct PageNo(pub usize);

impl PageNo {
    /// The page that holds `address`.
    #[must_use]
    pub const fn of(address: usize) -> PageNo {
        PageNo(address / PAGE)
    }
    /// The address of the page's first byte.
    #[must_use]
    pub const fn address(self) -> usize {
        self.0 * PAGE
    }
}

/// A range of addresses `[base, base + len)`. Never empty by accident: an empty span is legal, a
/// wrapping one cannot be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Span {
    base: usize,
    len: usize,
}

impl Span {
    /// A span of `len` bytes from `base`, or `None` if it would wrap.
    #[must_use]
    pub const fn new(base: usize, len: usize) -> Option<Span> {
        match base.checked_add(len) {
            Some(_) => Some(Span { base, len }),
            None => None,
        }
    }
    /// First address.
    #[must_use]
    pub const fn base(self) -> usize {
        self.base
    }
    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.len
    }
    /// Whether the span holds no byte.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }
    /// The address one past the last byte.
    #[must_use]
    pub const fn end(self) -> usize {
        self.base + self.len
    }
    /// Whether `address` lies inside.
    #[must_use]
    pub const fn contains(self, address: usize) -> bool {
        address.wrapping_sub(self.base) < self.len
    }
    /// Whether `other` lies wholly inside.
    #[must_use]
    pub const fn encloses(self, other: Span) -> bool {
        other.base >= self.base && other.end() <= self.end()
    }
    /// Whether base and length are multiples of `unit` (a power of two).
    #[must_use]
    pub const fn is_aligned(self, unit: usize) -> bool {
        assert!(unit.is_power_of_two());
        (self.base | self.len) & (unit - 1) == 0
    }
    /// The largest span of whole `unit`s inside this one (a power of two); empty if there is none.
    #[must_use]
    pub const fn shrink_to(self, unit: usize) -> Span {
        assert!(unit.is_power_of_two());
        let end = self.end() & !(unit - 1);
        let base = match self.base.checked_add(unit - 1) {
            Some(b) => b & !(unit - 1),
            None => return Span { base: end, len: 0 },
        };
        if base >= end {
            return Span { base: end, len: 0 };
        }
        Span {
            base,
            len: end - base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_page_is_flagged_as_the_c_headers_do() {
        assert_eq!(HugePage::MIB_2.flags(), 0x5400_0000);
        assert_eq!(HugePage::GIB_1.flags(), 0x7800_0000);
        assert_eq!(HugePage::DEFAULT.flags(), 0);
        assert_eq!(HugePage::of(Bytes(1 << 30)), Some(HugePage::GIB_1));
        assert_eq!(HugePage::MIB_2.bytes(), Some(Bytes(2 << 20)));
        for odd in [0, 1, 3, 4097] {
            assert_eq!(HugePage::of(Bytes(odd)), None);
        }
    }
}
