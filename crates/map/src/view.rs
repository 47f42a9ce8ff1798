//! What a map's bytes may be taken for: the types in the place of `V` in [`crate::Map<V>`].
//!
//! The type says who else can change the bytes, not how they were mapped. It is chosen once, by the
//! constructor that can prove it, and only a consuming call replaces it.

use std::marker::PhantomData;

mod sealed {
    pub trait Sealed {}
}

/// A view. See the types that implement it.
pub trait View: sealed::Sealed + Send + Sync + 'static {}

/// A view whose bytes nobody changes behind the borrow checker's back, and which may be read: it lends
/// `&[u8]`.
pub trait Stable: View {}

/// A view whose bytes may be copied out, each access of which may fail.
pub trait CopyOut: View {}

/// A view into which bytes may be copied, each access of which may fail.
pub trait CopyIn: CopyOut {}

macro_rules! views {
    ($($(#[$doc:meta])* $name:ident: $($role:ident)*;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl View for $name {}
            $(impl $role for $name {})*
        )*
    };
}

views! {
    /// Private anonymous memory of this process alone: `&[u8]` and `&mut [u8]` (tier T0).
    Owned: Stable;
    /// Bytes that nobody can change while the map lives, by a proof (tiers T1 to T4) or by the caller's word
    /// (T6): `&[u8]`.
    Frozen: Stable;
    /// Bytes that others may change or take away at any time: copied out, never referred to (T5).
    Volatile: CopyOut;
    /// The same, and may be written (T5).
    VolatileMut: CopyOut CopyIn;
    /// Addresses without access: a reservation.
    Reserved: ;
    /// Private anonymous memory that nobody may write, this process neither: `&[u8]` (tier T0).
    ReadOnly: Stable;
    /// Private memory whose pages the kernel may turn to zeros until they are stored to: copied out and in.
    Lazy: CopyOut CopyIn;
    /// Private memory under a guard: addresses without access, for a while.
    Guarded: ;
    /// Instructions: may be fetched and read, not written.
    Code: Stable;
    /// Instructions: may be fetched only, where the processor can tell loads from fetches.
    ExecuteOnly: ;
}

/// The memory of a `Map<V>` without any access, its contents kept, until it is opened again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed<V>(PhantomData<V>);
impl<V: View> sealed::Sealed for Closed<V> {}
impl<V: View> View for Closed<V> {}
