//! The walk over granules: states, counts, the lists of blocks in each, the lists of slabs.

use super::Verified;
use crate::block::{self, Block};
use crate::chunk::Kind;
use crate::class::{self, Class};

use crate::heap::Heap;
use crate::layout::{GRANULE, GRANULES_PER_CHUNK, PAGE, PAGES_PER_GRANULE};
use crate::local::Local;
use crate::slab::{Slab, State};
use crate::sync::{Relaxed, Token};
use crate::window::Window;
use neap_os::vm::Vm;

/// The blocks of one slab that were met so far.
struct Met([u64; 4096 / 64]);

impl Met {
    /// Follows a list; says how long it is. Every block is one of the slab's, on a page that is not
    /// fresh, and met for the first time.
    fn walk(&mut self, what: &str, base: usize, class: Class, fresh: u32, first: Option<Block>) -> u32 {
        let mut length = 0;
        for block in block::iter(first) {
            self.meet(what, base, class, fresh, block);
            length += 1;
        }
        length
    }

    /// One block of the list `what`.
    fn meet(&mut self, what: &str, base: usize, class: Class, fresh: u32, block: Block) {
        let offset = block.address().wrapping_sub(base);
        assert!(
            offset < GRANULE,
            "slab {base:#x}: its {what} list stays inside it"
        );
        let n = offset / class.size();
        let whole = offset.is_multiple_of(class.size()) && n < class.capacity() as usize;
        assert!(
            whole,
            "slab {base:#x}: its {what} list holds whole blocks, not offset {offset:#x}"
        );
        assert!(
            fresh >> (offset / PAGE) & 1 == 0,
            "slab {base:#x}: a fresh page's block is on its {what} list"
        );
        let word = &mut self.0[n / 64];
        assert!(
            *word >> (n % 64) & 1 == 0,
            "slab {base:#x}: block {n} is on two lists, or {what} is a circle"
        );
        *word |= 1 << (n % 64);
    }
}

/// The lists of blocks ready in a thread's hand, with the class each serves.
fn hands(local: &Local) -> impl Iterator<Item = (Class, Option<Block>)> {
    Class::all().map(|class| (class, local.place_for(class).0.get()))
}

/// The slab's blocks in hands and outboxes. Returns how many there are.
fn verify_ready(
    locals: &[&Local],
    granule: u32,
    base: usize,
    class: Class,
    fresh: u32,
    met: &mut Met,
) -> u32 {
    let mut ready = 0;
    for local in locals {
        for (_, first) in hands(local).filter(|(of, _)| *of == class) {
            for block in block::iter(first).filter(|block| block.address().wrapping_sub(base) < GRANULE) {
                met.meet("ready", base, class, fresh, block);
                ready += 1;
            }
        }
        let parcels = local
            .thread()
            .into_iter()
            .flat_map(|thread| thread.outbox.parcels());
        for parcel in parcels.filter(|parcel| parcel.granule == granule) {
            let waiting = met.walk("outbox", base, class, fresh, Some(parcel.first));
            assert_eq!(
                waiting, parcel.count,
                "slab {granule}: a parcel is as long as its count"
            );
            ready += waiting;
        }
    }
    ready
}

impl<V: Vm> Heap<V> {
    pub(super) fn verify_slabs(&self, locals: &[&Local], found: &mut Verified) {
        self.verify_hands(locals);
        let shelved = self.verify_shelves();
        let listed: usize = locals.iter().map(|local| self.verify_lists(local)).sum();
        let (mut on_shelves, mut in_lists) = (0, 0);
        for granule in 0..self.window().chunk_count() * GRANULES_PER_CHUNK as u32 {
            let record = self.window().chunk(granule / GRANULES_PER_CHUNK as u32);
            let slab = self.window().slab(granule);
            let bit = 1 << (granule % GRANULES_PER_CHUNK as u32);
            let taken = record.kind() == Kind::Slabs && record.granules.free.load(Relaxed) & bit == 0;
            let remote = slab.remote();
            let state = remote.state();
            if !taken {
                assert_eq!(
                    state,
                    State::None,
                    "granule {granule}: one that is free, or no slab's, says so"
                );
                assert!(
                    slab.class().is_none(),
                    "granule {granule}: a free one has no class"
                );
                assert_eq!(
                    slab.owner.load(Relaxed),
                    0,
                    "granule {granule}: a free one has no owner"
                );
                assert_eq!(
                    remote.count(),
                    0,
                    "granule {granule}: a free one has no remote list"
                );
                continue;
            }
            let Some(class) = slab.class() else {
                panic!("granule {granule}: a slab has a class")
            };
            match state {
                State::None => panic!("granule {granule}: taken, but no slab"),
                State::Checked => {
                    let away = slab.seat.load(Relaxed) == 1;
                    on_shelves += usize::from(!away);
                    found.blocks[class.number()] += self.verify_checked(granule, class, away);
                    continue;
                }
                // A fork left it behind: its lists may be anything, its remote list is in order.
                State::Owned if slab.owner.load(Relaxed) == 0 && self.has_orphans() => {}
                State::Owned => in_lists += usize::from(self.verify_owned(locals, granule, slab, class)),
                State::Full | State::Shelved => {
                    let waiting = state == State::Full && remote.count() != 0;
                    assert!(!waiting, "full slab {granule}: the first free claims it");
                    assert_eq!(
                        slab.owner.load(Relaxed),
                        0,
                        "slab {granule} ({state:?}): nobody owns it"
                    );
                    on_shelves += usize::from(state == State::Shelved);
                }
            }
            let (live, ready) = self.verify_slab(locals, granule, slab, class);
            found.blocks[class.number()] += live;
            found.ready += ready;
        }
        assert_eq!(
            on_shelves, shelved,
            "every slab that is SHELVED lies on the shelf of its class"
        );
        assert_eq!(in_lists, listed, "every slab in its owner's list is OWNED by it");
    }

    /// One slab's counts and lists of blocks. Returns the blocks in use and those in hands.
    fn verify_slab(&self, locals: &[&Local], granule: u32, slab: &Slab, class: Class) -> (usize, usize) {
        let base = self.window().granule_base(granule);
        let (fresh, remote, capacity) = (slab.fresh(), slab.remote(), class.capacity());
        let full = remote.state() == State::Full;
        let unlisted = (0..PAGES_PER_GRANULE)
            .filter(|page| fresh >> page & 1 == 1)
            .map(|page| class.blocks_on_page(page))
            .map(|(first, end)| end - first)
            .sum();
        assert_eq!(
            slab.unlisted(),
            unlisted,
            "slab {granule}: `unlisted` counts the blocks on fresh pages"
        );
        let mut met = Met([0; 4096 / 64]);
        let local = met.walk("local", base, class, fresh, slab.local.get());
        let used = if full { capacity } else { slab.used() };
        assert!(
            used <= capacity,
            "slab {granule}: {used} blocks in use of {capacity}"
        );
        assert_eq!(
            used + local + unlisted,
            capacity,
            "slab {granule} ({:?}): used {used} + local {local} + unlisted {unlisted} == capacity {capacity}",
            remote.state(),
        );
        let handed = met.walk("remote", base, class, fresh, remote.head(base));
        assert_eq!(
            handed,
            remote.count(),
            "slab {granule}: the remote list is as long as its count"
        );
        if remote.state() == State::Shelved {
            let free = slab.shelf_free.load(Relaxed);
            assert_eq!(
                free,
                capacity - used,
                "shelved slab {granule}: shelf_free counts its free blocks"
            );
            assert!(
                free + remote.count() < capacity,
                "shelved slab {granule}: an empty slab leaves the shelf"
            );
        }
        let ready = verify_ready(locals, granule, base, class, fresh, &mut met);
        assert!(
            handed + ready <= used,
            "slab {granule}: blocks handed back or ready count as used"
        );
        ((used - handed - ready) as usize, ready as usize)
    }

    /// Whether an owned slab is in its owner's list. If it is not, it has a seat.
    fn verify_owned(&self, locals: &[&Local], granule: u32, slab: &Slab, class: Class) -> bool {
        let owner = slab.owner.load(Relaxed);
        let thread = locals
            .iter()
            .find(|local| local.owner() == owner)
            .and_then(|local| local.thread());
        let Some(thread) = thread else {
            panic!("slab {granule}: OWNED by {owner:#x}, no living thread")
        };
        let seat = slab.seat.load(Relaxed);
        if seat != 0 {
            let seated = thread.seated().any(|pair| pair == (seat, granule));
            assert!(seated, "slab {granule}: its seat {seat} is its own");
        }
        let linked = slab.prev.load(Relaxed) != 0 || thread.list(class).get() == granule + 1;
        assert!(
            linked || seat != 0,
            "slab {granule}: an owned slab is in its owner's list or on a seat"
        );
        linked
    }

    /// The lists and seats of one thread. Returns how many slabs its lists hold.
    fn verify_lists(&self, local: &Local) -> usize {
        let Some(thread) = local.thread() else { return 0 };
        let mut count = 0;
        for class in Class::all() {
            let (mut before, mut at) = (0, thread.list(class).get());
            while let Some(granule) = at.checked_sub(1) {
                let slab = self.window().slab(granule);
                assert_eq!(
                    slab.class(),
                    Some(class),
                    "list of {class:?}: slab {granule} is of that class"
                );
                assert_eq!(
                    slab.prev.load(Relaxed),
                    before,
                    "list of {class:?}: slab {granule} knows the one before"
                );
                assert_eq!(
                    slab.owner.load(Relaxed),
                    local.owner(),
                    "list of {class:?}: slab {granule} is its owner's"
                );
                assert_eq!(
                    slab.remote().state(),
                    State::Owned,
                    "list of {class:?}: slab {granule} is OWNED"
                );
                (before, at) = (at, slab.next.load(Relaxed));
                count += 1;
                assert!(
                    count <= self.window().chunk_count() as usize * GRANULES_PER_CHUNK,
                    "an owner's list ends"
                );
            }
        }
        for (seat, granule) in thread.seated() {
            let slab = self.window().slab(granule);
            assert_eq!(
                slab.owner.load(Relaxed),
                local.owner(),
                "seat {seat}: slab {granule} is the thread's"
            );
            assert_eq!(
                slab.seat.load(Relaxed),
                seat,
                "seat {seat}: slab {granule} knows its seat"
            );
        }
        count
    }

    /// Every block in a hand lies in a slab of the class it serves, and a hand in one slab.
    fn verify_hands(&self, locals: &[&Local]) {
        for local in locals {
            for (class, first) in hands(local) {
                // A circle is found when the slabs are walked; here it must only end.
                for block in block::iter(first).take(2 * class.capacity() as usize) {
                    let Some(offset) = self.window().offset(block.address()) else {
                        panic!("block {:#x} in a hand lies outside the window", block.address())
                    };
                    let slab = self.window().slab(Window::granule_of(offset));
                    assert_eq!(
                        slab.class(),
                        Some(class),
                        "block {:#x} in a hand is of its class",
                        block.address()
                    );
                }
            }
        }
    }

    /// The shelves' lists. Returns how many slabs lie there.
    fn verify_shelves(&self) -> usize {
        let mut count = 0;
        for class in Class::all() {
            let length = self.shelf(class).length();
            let open = self.shelf(class).open(self.window(), Token::HELPER);
            let (mut before, mut at, mut walked) = (0, open.first(), 0);
            while let Some(granule) = at {
                let slab = self.window().slab(granule);
                let state = slab.remote().state();
                assert!(
                    matches!(state, State::Shelved | State::Checked),
                    "shelf of {class:?}: slab {granule} is {state:?}"
                );
                assert_eq!(
                    slab.class(),
                    Some(class),
                    "shelf of {class:?}: slab {granule} is of that class"
                );
                assert_eq!(
                    slab.prev.load(Relaxed),
                    before,
                    "shelf of {class:?}: slab {granule} knows the one before"
                );
                walked += 1;
                assert!(
                    walked <= length,
                    "shelf of {class:?}: no longer than its length {length}"
                );
                before = granule + 1;
                at = open.after(granule);
            }
            assert_eq!(
                open.last(),
                before.checked_sub(1),
                "shelf of {class:?}: its last slab is the last"
            );
            assert_eq!(walked, length, "shelf of {class:?}: as long as its length");
            count += walked as usize;
        }
        count
    }
}

const _: () = assert!(class::LARGEST <= GRANULE);
