//! [`Knob`]: a number that may be changed while the program runs, and is its default until then.
//!
//! Owns the encoding that makes the default all zeros, so that a heap that nobody has touched lies in
//! `.bss` and costs no byte of the file.

use crate::sync::{AtomicUsize, Relaxed};

/// A number with a default.
pub(crate) struct Knob<const DEFAULT: usize>(AtomicUsize);

impl<const DEFAULT: usize> Knob<DEFAULT> {
    pub(crate) const fn new() -> Knob<DEFAULT> {
        Knob(AtomicUsize::new(0))
    }
    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed) ^ DEFAULT
    }
    pub(crate) fn set(&self, value: usize) {
        self.0.store(value ^ DEFAULT, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knob_has_its_default_until_it_is_set_and_takes_every_value() {
        let knob = Knob::<25>::new();
        assert_eq!(knob.get(), 25);
        for value in [0, 1, 25, usize::MAX] {
            knob.set(value);
            assert_eq!(knob.get(), value);
        }
    }
}
