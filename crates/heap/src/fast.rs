//! Where everything lies that malloc's and free's fast paths read, for those written in assembly.
//!
//! Owns names for offsets and nothing else. The fast paths in Rust are [`Heap::pop`] and [`Heap::push`]
//! (`crate::request`): they say what has to be done. `neap-preload` has the same on x86_64 in assembly,
//! because LLVM folds no atomic load into another instruction and the thread-local block can be addressed
//! without computing where it is: a fifth fewer instructions.

use crate::class;
use crate::ground::Ground;
use crate::heap::Heap;
use crate::local::Local;
use crate::slab::Slab;
use crate::window::Window;
use core::mem::offset_of;
use neap_os::linux::Linux;

pub use crate::class::PLACE as PLACE_OF_SIZE;
pub use crate::process::HEAP;

const WINDOW: usize = offset_of!(Heap<Linux>, ground) + offset_of!(Ground, window);
/// In [`HEAP`]: the window's first address.
pub const BASE: usize = WINDOW + Window::OFFSETS[0];
/// In [`HEAP`]: how many bytes from there have records.
pub const LIMIT: usize = WINDOW + Window::OFFSETS[1];
/// In [`HEAP`]: the address of the first granule's record.
pub const RECORDS: usize = WINDOW + Window::OFFSETS[2];

/// An offset in the window, shifted right by this and masked, is that of the record.
pub const RECORD_SHIFT: u32 = crate::layout::GRANULE_SHIFT - size_of::<Slab>().ilog2();
/// See [`RECORD_SHIFT`].
pub const RECORD_MASK: isize = -(size_of::<Slab>() as isize);
/// In a record: the owner, 8 bytes.
pub const OWNER: usize = offset_of!(Slab, owner);
/// In a record: the first block of the owner's list, 8 bytes.
pub const LIST: usize = offset_of!(Slab, local);
/// In a record: frees left until something is due, 4 bytes.
pub const NEED: usize = Slab::NEED;
/// In a record: the place in the hand, 4 bytes.
pub const PLACE: usize = Slab::PLACE;

/// In a thread's block: the first ready block of each place, 8 bytes each.
pub const HEADS: usize = Local::HEADS;
/// In a thread's block: the room at each place, 1 byte each.
pub const ROOMS: usize = Local::ROOMS;
/// In a thread's block: the bits that no owner has if it is this thread or nobody, 8 bytes.
pub const STRANGE: usize = offset_of!(Local, strange);
/// Up to this size a request's place is `(size + 15) / 16`,
pub const DIRECT: usize = class::DIRECT;
/// up to this one the byte `(size - 1) / 64` of [`PLACE_OF_SIZE`].
pub const LARGEST: usize = class::LARGEST;

const _: () = assert!(crate::layout::GRANULE == 1 << crate::layout::GRANULE_SHIFT);
