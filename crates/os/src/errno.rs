//! [`Errno`]: a kernel error number as a value. A newtype, not an enum: an unknown number is legal.

/// A kernel error number (1 to 4095).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);
