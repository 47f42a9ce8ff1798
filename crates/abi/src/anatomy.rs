//! Where the records of a heap lie in the memory of its process, for a reader outside.
//!
//! A file that holds neap's heap (libneap.so, or a program whose global allocator is `neap_heap::Neap`) has an
//! ELF note, owner [`NOTE_OWNER`], type [`NOTE_TYPE`]. Its descriptor is two words: [`VERSION`], and how far
//! from that second word the *anchor* lies, in the file as in memory. The anchor is [`ANCHOR_WORDS`] addresses, right
//! once the dynamic linker is through: the heap, the [`Field`]s' offsets in it, the stub that gives back what
//! the calling thread keeps, and the end of the stub.
//!
//! Here are the constants of layouts that the heap declares as C would lay them out; it checks each when it is
//! compiled. What the compiler is free to lay out (the heap itself) is in the table of fields instead: the
//! reader's compiler may have chosen otherwise. A change of meaning bumps [`VERSION`].

/// Layout version; readers refuse any other.
pub const VERSION: u32 = 1;
/// The note's owner, as in the file.
pub const NOTE_OWNER: &[u8] = b"neap\0";
/// The note's type.
pub const NOTE_TYPE: u32 = 1;
/// Bytes of the descriptor: the version, and the way from there (plus 4) to the anchor, signed.
pub const DESCRIPTOR_BYTES: usize = 8;
/// Addresses at the anchor: the heap, the fields, the stub, the end of the stub.
pub const ANCHOR_WORDS: usize = 4;

/// Bytes of the units: a page, a granule (one slab), a chunk.
pub const PAGE: u64 = 4096;
/// See [`PAGE`].
pub const GRANULE: u64 = 64 << 10;
/// See [`PAGE`].
pub const CHUNK: u64 = 2 << 20;
/// Pages of a granule.
pub const PAGES_PER_GRANULE: usize = 16;
/// Granules of a chunk.
pub const GRANULES_PER_CHUNK: usize = 32;
/// Pages of a chunk.
pub const PAGES_PER_CHUNK: usize = 512;
/// The most chunks a window has.
pub const CHUNKS_MAX: u64 = 1 << 21;

/// What the table of fields tells: offsets in the heap unless they say otherwise, 32 bits each, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// The address of chunk 0, 8 bytes; 0 until the heap is opened.
    WindowBase,
    /// Bytes from there that have records, 8 bytes.
    WindowLimit,
    /// The address of the tables, 8 bytes.
    WindowMeta,
    /// Mapped bytes of each table, 8 bytes each, in the order of [`TABLES`].
    WindowMapped,
    /// Mapped bytes of the scrap, 8 bytes.
    ScrapMapped,
    /// Chunks below this are handed out or absent, 4 bytes.
    WindowTop,
    /// Where the break was left, 8 bytes; 0 without.
    BreakEnd,
    /// [`crate::Backend`], 4 bytes.
    Backend,
    /// Not 0 in checking mode, 4 bytes.
    Checked,
    /// Pages of dirt, 8 bytes.
    DirtyPages,
    /// Mappings of their own: [`DIRECT_SLOTS`] pairs of address and bytes.
    DirectSlots,
    /// Freed ones that wait to be unmapped: [`DIRECT_WAITING`] pairs.
    DirectWaiting,
    /// Runs and extents in the checking mode's quarantine: [`CONFINED`] pairs.
    Confined,
    /// The process's own page of counters, a [`crate::Page`].
    OwnPage,
    /// The address of the board's page, 8 bytes, 0 for none.
    SharedPage,
    /// The address of the helper's stack of [`HELPER_STACK`] bytes, 8 bytes, 0 for none.
    HelperStack,
    /// The address of the first thread's record, 8 bytes.
    Records,
    /// In a thread's record: the next one's address, 8 bytes.
    ThreadNext,
    /// In a thread's record: the address of the thread's local block, 8 bytes; 0: of no thread, 1: of one that
    /// stayed behind a fork.
    ThreadUser,
    /// In a thread's record: the addresses of runs in its pocket, [`POCKET_BINS`] times [`POCKET_DEPTH`]; a run of
    /// bin n has n + 1 pages.
    ThreadPocket,
    /// In a thread's record: the lists of its outbox, [`OUTBOX_LISTS`] times [`Field::OutboxStride`] bytes.
    ThreadOutbox,
    /// Bytes of one list of an outbox.
    OutboxStride,
    /// In such a list: the first block's address, 8 bytes, 0 for none.
    OutboxFirst,
    /// In such a list: how many blocks, 4 bytes.
    OutboxCount,
    /// In a thread's local block: the first ready block of each class, 8 bytes each, from class 0 on.
    LocalHands,
}

/// How many fields there are.
pub const FIELDS: usize = Field::LocalHands as usize + 1;

/// Slots of the table of own mappings, a pair of words each.
pub const DIRECT_SLOTS: usize = 1 << 14;
/// See [`Field::DirectWaiting`].
pub const DIRECT_WAITING: usize = 16;
/// A slot whose address is no more than this holds no mapping.
pub const DIRECT_NONE_MAX: u64 = 2;
/// See [`Field::Confined`].
pub const CONFINED: usize = 64;
/// Bytes of the helper's stack.
pub const HELPER_STACK: u64 = 32 << 10;
/// See [`Field::ThreadPocket`].
pub const POCKET_BINS: usize = 64;
/// See [`Field::ThreadPocket`].
pub const POCKET_DEPTH: usize = 4;
/// See [`Field::ThreadOutbox`].
pub const OUTBOX_LISTS: usize = 8;

/// A table of records.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Where it starts, from the address of the tables.
    pub offset: u64,
    /// Bytes of records for one chunk.
    pub per_chunk: u64,
}

/// The tables: of slabs, of chunks, of groups of 64 chunks, of the checking mode.
pub const TABLES: [Table; 4] = [
    Table {
        offset: 0,
        per_chunk: 4 << 10,
    },
    Table {
        offset: 8 << 30,
        per_chunk: 2 << 10,
    },
    Table {
        offset: 12 << 30,
        per_chunk: 2,
    },
    Table {
        offset: 16 << 30,
        per_chunk: 64 << 10,
    },
];
/// Threads' records and other odds and ends, from the address of the tables.
pub const SCRAP_OFFSET: u64 = 13 << 30;

/// The record of a granule.
pub mod slab {
    /// Bytes of one.
    pub const BYTES: usize = 128;
    /// The owner's local block, 8 bytes.
    pub const OWNER: usize = 0;
    /// The first block of the list of free ones, 8 bytes.
    pub const LIST: usize = 8;
    /// Frees left until something is due, 4 bytes,
    pub const NEED: usize = 16;
    /// what that was when it was set,
    pub const ARMED: usize = 20;
    /// and the blocks in use then. In use now: `used - (armed - need)`.
    pub const USED: usize = 24;
    /// Pages whose blocks are neither handed out nor listed, a bit each, 4 bytes.
    pub const FRESH: usize = 28;
    /// Blocks that start on those pages, 4 bytes.
    pub const UNLISTED: usize = 32;
    /// The class's number + 1, 4 bytes; 0 when not a slab.
    pub const CLASS: usize = 36;
    /// The word shared by all threads, 8 bytes: in the low 16 bits the first block freed by another thread (its
    /// offset / 16 + 1), then 16 bits how many, then 8 bits the state.
    pub const REMOTE: usize = 64;

    /// States: not a slab.
    pub const NONE: u8 = 0;
    /// One thread's.
    pub const OWNED: u8 = 1;
    /// Nobody's, without a free block.
    pub const FULL: u8 = 2;
    /// Nobody's, on its class's shelf.
    pub const SHELVED: u8 = 3;
    /// Of the checking mode: what is in use is told by [`super::check`].
    pub const CHECKED: u8 = 4;
}

/// The record of a chunk. Maps are a bit a page, 64 bytes.
pub mod chunk {
    /// Bytes of one.
    pub const BYTES: usize = 2048;
    /// What it is used for, 4 bytes.
    pub const KIND: usize = 0;
    /// Slabs: granules nobody uses, a bit each, 4 bytes,
    pub const GRANULES_FREE: usize = 4;
    /// used since their pages were last given back,
    pub const GRANULES_TOUCHED: usize = 8;
    /// Extent: chunks it covers, 4 bytes,
    pub const EXTENT_CHUNKS: usize = 24;
    /// and bytes in use, 8 bytes.
    pub const EXTENT_BYTES: usize = 32;
    /// Pages nobody uses.
    pub const FREE: usize = 40;
    /// Runs: the first pages of those in use.
    pub const HEADS: usize = 104;
    /// Pages that may hold something.
    pub const RESIDENT: usize = 168;
    /// Runs: the length of the run in use that begins at each page, 2 bytes each.
    pub const LENGTHS: usize = 360;

    /// Kinds: not the heap's memory.
    pub const ABSENT: u32 = 0;
    /// Unused.
    pub const UNUSED: u32 = 1;
    /// Granules for slabs.
    pub const SLABS: u32 = 2;
    /// Runs of pages.
    pub const RUNS: u32 = 3;
    /// The first chunk of an extent.
    pub const EXTENT: u32 = 4;
    /// A later one.
    pub const BODY: u32 = 5;
}

/// The checking mode's record of a granule: maps of a bit a block.
pub mod check {
    /// Bytes from one to the next.
    pub const STRIDE: u64 = 2048;
    /// Blocks in use, 512 bytes.
    pub const USED: usize = 0;
}

/// Bytes of a block of class number `class`; `None` if there is no such class.
#[must_use]
pub const fn block_bytes(class: usize) -> Option<u64> {
    let steps = class as u64;
    Some(match class {
        0..32 => (steps + 1) * 16,
        32..40 => 512 + (steps - 31) * 64,
        40..48 => 1024 + (steps - 39) * 128,
        48..56 => 2048 + (steps - 47) * 256,
        56..64 => 4096 + (steps - 55) * 512,
        _ => return None,
    })
}

/// Size classes there are.
pub const CLASSES: usize = 64;

/// The calls by which the stub says how far it is: madvise(2) of no bytes at one of these addresses, which does
/// nothing. What the stub has to say is in the third argument.
pub mod stub {
    /// It has done what it was asked for; every signal is blocked still.
    pub const DONE: u64 = 0x6e65_6170_0000;
    /// The signals are as they were. If this call returns nobody is watching, and the stub ends by itself.
    pub const OVER: u64 = DONE + super::PAGE;

    /// What may be asked for: the thread's own caches go back to the heap,
    pub const OWN: u64 = 0;
    /// and then whatever is free in the heap to the kernel.
    pub const ALL: u64 = 1;

    /// What it says: it was done.
    pub const GAVE_BACK: u64 = 0;
    /// The thread was in the midst of a call of the heap, or of a fork; nothing was done.
    pub const BUSY: u64 = 1;
    /// No memory for a stack; nothing was done.
    pub const NO_STACK: u64 = 2;
    /// Signals could not be blocked; nothing was done.
    pub const NO_MASK: u64 = 3;

    /// Words of the frame that the stub finds at the stack pointer: what to do, the thread's signal mask (the stub's
    /// to fill), and from [`REGISTERS`] on what it puts into registers when it ends by itself.
    pub const REGISTERS: usize = 2;
}

/// Where the descriptor of neap's note begins in `notes`, the bytes of a PT_NOTE segment.
#[must_use]
pub fn find_descriptor(notes: &[u8]) -> Option<usize> {
    let word = |at: usize| {
        let bytes = notes.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let mut at = 0;
    loop {
        let (name, length, kind) = (word(at)?, word(at + 4)?, word(at + 8)?);
        let owner = at + 12;
        let descriptor = owner
            .checked_add(usize::try_from(name).ok()?)?
            .checked_next_multiple_of(4)?;
        let end = descriptor.checked_add(usize::try_from(length).ok()?)?;
        let mine = notes.get(owner..owner + NOTE_OWNER.len()) == Some(NOTE_OWNER)
            && name as usize == NOTE_OWNER.len()
            && kind == NOTE_TYPE;
        if mine && length as usize >= DESCRIPTOR_BYTES {
            return (end <= notes.len()).then_some(descriptor);
        }
        at = end.checked_next_multiple_of(4)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(out: &mut [u8], at: usize, owner: &[u8], kind: u32, descriptor: &[u8]) -> usize {
        let words = [owner.len() as u32, descriptor.len() as u32, kind];
        for (n, word) in words.iter().enumerate() {
            out[at + n * 4..at + n * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        }
        let name = at + 12;
        out[name..name + owner.len()].copy_from_slice(owner);
        let begin = (name + owner.len()).next_multiple_of(4);
        out[begin..begin + descriptor.len()].copy_from_slice(descriptor);
        (begin + descriptor.len()).next_multiple_of(4)
    }

    #[test]
    fn the_note_is_found_among_others() {
        let mut bytes = [0; 256];
        let next = note(&mut bytes, 0, b"GNU\0", 3, &[7; 20]);
        let next = note(&mut bytes, next, NOTE_OWNER, NOTE_TYPE + 1, &[8; 8]);
        let begin = next + 12 + 8;
        let end = note(&mut bytes, next, NOTE_OWNER, NOTE_TYPE, &[9; 8]);
        assert_eq!(find_descriptor(&bytes), Some(begin));
        assert_eq!(find_descriptor(&bytes[..end - 1]), None);
        assert_eq!(find_descriptor(&[0xff; 64]), None);
        assert_eq!(find_descriptor(&[0; 64]), None);
    }

    #[test]
    fn classes_grow_to_eight_kibibytes() {
        let mut sizes = (0..CLASSES).map(|n| block_bytes(n).unwrap());
        assert!(sizes.clone().zip(sizes.clone().skip(1)).all(|(a, b)| a < b));
        assert_eq!(sizes.next_back(), Some(8192));
        assert_eq!(block_bytes(CLASSES), None);
    }
}
