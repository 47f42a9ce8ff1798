//! Units of memory: [`Bytes`], [`Pages`], [`PageNo`] and [`Span`].
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
