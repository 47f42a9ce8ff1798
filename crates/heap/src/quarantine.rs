//! [`Quarantine`]: freed blocks that wait, in checking mode, before they can be handed out again.
//!
//! Owns two queues: small blocks, by number, and large ones, by number and bytes. What waits is filled with
//! poison, and `crate::check` looks at it when it leaves; this file never looks into a block. To the maps of
//! pages a large block that waits is still in use, so nothing in it is given back.

use crate::ground::Piece;
use crate::sync::{AtomicUsize, Relaxed};

/// Freed blocks that wait before they can be handed out.
const QUARANTINE: usize = 1024;

/// Blocks in quarantine, oldest overwritten first.
pub(crate) struct Quarantine {
    pub(crate) queue: [AtomicUsize; QUARANTINE],
    turn: AtomicUsize,
    pub(crate) large: Large,
}

impl Quarantine {
    pub(crate) const fn new() -> Quarantine {
        Quarantine {
            queue: [const { AtomicUsize::new(0) }; QUARANTINE],
            turn: AtomicUsize::new(0),
            large: Large::new(),
        }
    }

    /// Takes `address` in and returns the block whose time is up, if one is.
    pub(crate) fn admit(&self, address: usize) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Relaxed) % QUARANTINE;
        let before = self.queue.get(turn)?.swap(address, Relaxed);
        (before != 0).then_some(before)
    }
}

/// Runs and extents that wait, at most, and their bytes: what a program has freed of them and could still
/// be told to have written to.
const LARGE_BLOCKS: usize = 64;
pub(crate) const LARGE_BYTES: usize = 8 << 20;

#[repr(C)]
struct Cell {
    address: AtomicUsize,
    bytes: AtomicUsize,
}

/// Runs and extents in quarantine, the oldest leaves first. Changed under the `pages` lock only.
pub(crate) struct Large {
    cells: [Cell; LARGE_BLOCKS],
    /// How many have come and gone so far: the oldest is in cell `left`, modulo the cells.
    came: AtomicUsize,
    left: AtomicUsize,
    bytes: AtomicUsize,
}

const _: () = {
    assert!(LARGE_BLOCKS == neap_abi::anatomy::CONFINED && size_of::<Cell>() == 16);
    assert!(core::mem::offset_of!(Cell, address) == 0);
};

impl Large {
    /// Where the cells are, for readers outside.
    pub(crate) const CELLS: usize = core::mem::offset_of!(Large, cells);

    const fn new() -> Large {
        Large {
            cells: [const {
                Cell {
                    address: AtomicUsize::new(0),
                    bytes: AtomicUsize::new(0),
                }
            }; LARGE_BLOCKS],
            came: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Blocks that wait, and their bytes.
    pub(crate) fn contents(&self) -> (usize, usize) {
        let count = self.came.load(Relaxed).wrapping_sub(self.left.load(Relaxed));
        (count, self.bytes.load(Relaxed))
    }

    /// Whether the block at `address` waits. Who holds a block that does not may ask without the lock.
    pub(crate) fn holds(&self, address: usize) -> bool {
        self.cells
            .iter()
            .any(|cell| cell.address.load(Relaxed) == address)
    }

    /// The blocks that wait.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let pieces = self.cells.iter().map(|cell| Piece {
            address: cell.address.load(Relaxed),
            bytes: cell.bytes.load(Relaxed),
        });
        pieces.filter(|piece| piece.address != 0)
    }

    /// Takes `piece` in, which must fit: nothing comes out of [`Large::make_room`] for its bytes.
    pub(crate) fn admit(&self, piece: Piece) {
        let came = self.came.load(Relaxed);
        if let Some(cell) = self.cells.get(came % LARGE_BLOCKS) {
            debug_assert!(cell.address.load(Relaxed) == 0);
            cell.bytes.store(piece.bytes, Relaxed);
            cell.address.store(piece.address, Relaxed);
            self.came.store(came.wrapping_add(1), Relaxed);
            self.bytes.store(self.bytes.load(Relaxed) + piece.bytes, Relaxed);
        }
    }

    /// The oldest block, which leaves, unless there is room for another of `bytes` bytes.
    pub(crate) fn make_room(&self, bytes: usize) -> Option<Piece> {
        let (count, held) = self.contents();
        if count == 0 || (count < LARGE_BLOCKS && held.saturating_add(bytes) <= LARGE_BYTES) {
            return None;
        }
        let left = self.left.load(Relaxed);
        let cell = self.cells.get(left % LARGE_BLOCKS)?;
        let piece = Piece {
            address: cell.address.swap(0, Relaxed),
            bytes: cell.bytes.load(Relaxed),
        };
        self.left.store(left.wrapping_add(1), Relaxed);
        self.bytes.store(held - piece.bytes, Relaxed);
        Some(piece)
    }
}
