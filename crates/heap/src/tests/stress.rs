//! Real threads: blocks cross between threads, threads end and begin, the tide turns meanwhile. When all
//! is quiet the walk must find nothing out of order and nothing left.

#![allow(unsafe_code)]

use crate::heap::Heap;
use crate::local::Local;
use crate::sync::{AcqRel, Acquire, AtomicBool, AtomicUsize, Relaxed, Release, Token};
use crate::tide::Reach;
use neap_abi::Backend;
use neap_os::linux::Linux;
use neap_os::sim::Sim;
use neap_os::vm::Vm;
use std::boxed::Box;
use std::thread;
use std::vec::Vec;

/// Rounds of each thread: `NEAP_STRESS=10` makes ten times as many.
fn rounds(count: usize) -> usize {
    let times = std::env::var("NEAP_STRESS")
        .ok()
        .and_then(|times| times.parse().ok());
    count * times.unwrap_or(1)
}

fn simulated(check: bool) -> Box<Heap<Sim>> {
    let heap = Box::new(Heap::new(Sim::new()));
    let local = Box::new(Local::new());
    let hints = [heap.vm.arena_hint()];
    heap.open(&local, Backend::Mmap, check, &hints).expect("a heap");
    heap
}

/// A heap over the real kernel at a place of its own.
fn real() -> Box<Heap<Linux>> {
    static TURN: AtomicUsize = AtomicUsize::new(40);
    let heap = Box::new(Heap::new(Linux));
    let local = Box::new(Local::new());
    let hints = [TURN.fetch_add(2, Relaxed) << 40, TURN.fetch_add(2, Relaxed) << 40];
    heap.open(&local, Backend::Mmap, false, &hints).expect("a heap");
    heap
}

/// Ends the tide's loop, also when an assertion fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Release);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }
    fn size(&mut self) -> usize {
        match self.below(40) {
            0..20 => 16 + self.below(200),
            20..30 => 16 + self.below(2000),
            30..36 => 16 + self.below(9000),
            36..39 => 9000 + self.below(300_000),
            _ => 200_000 + self.below(3_000_000),
        }
    }
}

fn word(address: usize) -> *mut usize {
    core::ptr::with_exposed_provenance_mut(address)
}

/// Takes a block and writes its size and a mark into its first and last words.
fn take<V: Vm>(heap: &Heap<V>, local: &Local, size: usize) -> usize {
    let size = size.next_multiple_of(8).max(16);
    let address = heap.allocate(local, size).expect("memory");
    // SAFETY: the block's first and last words.
    unsafe {
        word(address).write(size);
        word(address + size - 8).write(address ^ size);
    }
    address
}

/// Asserts that a block is as `take` left it, changes it and gives it back.
fn put<V: Vm>(heap: &Heap<V>, local: &Local, address: usize) {
    // SAFETY: a block from `take`, which this thread alone has now.
    unsafe {
        let size = word(address).read();
        assert!(
            size <= 1 << 23,
            "block {address:#x}: its first word is its size, not {size:#x}"
        );
        assert_eq!(
            word(address + size - 8).read(),
            address ^ size,
            "block {address:#x} of {size}: its last word"
        );
        word(address + size - 8).write(0);
        heap.free(local, address);
    }
}

/// Four places at a time change hands through a table that all threads share; each thread lives for a
/// while, then another takes its place. Returns when all have ended, with every block freed.
fn exchange<V: Vm>(heap: &Heap<V>, threads: usize, lives: usize, steps: usize) {
    let table: Vec<AtomicUsize> = (0..512).map(|_| AtomicUsize::new(0)).collect();
    let done = AtomicBool::new(false);
    let over = &done;
    let places = &table;
    thread::scope(|scope| {
        let tide = scope.spawn(move || {
            while !over.load(Acquire) {
                heap.tick(Token::HELPER, Reach::Old);
                heap.census();
                thread::yield_now();
            }
        });
        let workers: Vec<_> = (0..threads)
            .map(|n| {
                scope.spawn(move || {
                    let mut random = Random(0x9e37_79b9 + n as u64 * 7919);
                    for _ in 0..lives {
                        let local = Box::new(Local::new());
                        for step in 0..steps {
                            let block = take(heap, &local, random.size());
                            let before = places[random.below(places.len())].swap(block, AcqRel);
                            if before != 0 {
                                put(heap, &local, before);
                            }
                            if step % 1000 == 999 && random.below(4) == 0 {
                                heap.trim(&local);
                            }
                        }
                        heap.finish_thread(&local);
                    }
                })
            })
            .collect();
        let end = Over(over);
        for worker in workers {
            worker.join().expect("no worker panics");
        }
        drop(end);
        tide.join().expect("the tide does not panic");
    });
    let local = Box::new(Local::new());
    // One quiet tick puts right what is only late: a granule that was taken while its dirt aged.
    heap.tick(Token::HELPER, Reach::Old);
    let live = table.iter().filter(|place| place.load(Relaxed) != 0).count();
    assert_eq!(heap.verify(&[&local]).live(), live, "what lives is in the table");
    for place in &table {
        if let block @ 1.. = place.swap(0, Acquire) {
            put(heap, &local, block);
        }
    }
    heap.finish_thread(&local);
    for _ in 0..4 {
        heap.trim(&local);
    }
    let found = heap.verify(&[&local]);
    assert_eq!(
        (found.live(), found.dirty_pages, found.chunk_bytes),
        (0, 0, 0),
        "nothing is left"
    );
}

#[test]
fn blocks_that_change_hands_keep_a_simulated_heap_whole() {
    exchange(&*simulated(false), 4, 6, rounds(15_000));
}

#[test]
fn blocks_that_change_hands_keep_a_real_heap_whole() {
    exchange(&*real(), 4, 6, rounds(20_000));
}

#[test]
fn one_thread_allocates_and_two_free() {
    let heap = &*real();
    let queue: Vec<AtomicUsize> = (0..4096).map(|_| AtomicUsize::new(0)).collect();
    let queue = &queue;
    let count = rounds(200_000);
    thread::scope(|scope| {
        scope.spawn(move || {
            let local = Box::new(Local::new());
            let mut random = Random(77);
            for n in 0..count {
                let block = take(heap, &local, 16 + random.below(600));
                while queue[n % queue.len()]
                    .compare_exchange(0, block, Release, Relaxed)
                    .is_err()
                {
                    thread::yield_now();
                }
            }
            heap.finish_thread(&local);
        });
        for half in 0..2 {
            scope.spawn(move || {
                let local = Box::new(Local::new());
                for n in (half..count).step_by(2) {
                    loop {
                        if let block @ 1.. = queue[n % queue.len()].swap(0, Acquire) {
                            put(heap, &local, block);
                            break;
                        }
                        thread::yield_now();
                    }
                }
                heap.finish_thread(&local);
            });
        }
    });
    heap.tick(Token::HELPER, Reach::Old);
    assert_eq!(heap.verify(&[]).live(), 0);
}

/// A run's length was where the next run or free page began, and both bits of a neighbour could be off
/// for a moment while it came or went.
#[test]
fn the_length_of_a_run_does_not_depend_on_its_neighbours() {
    let heap = &*simulated(false);
    let over = AtomicBool::new(false);
    let over = &over;
    let mine = Box::new(Local::new());
    let held: Vec<usize> = (0..2).filter_map(|_| heap.allocate(&mine, 12_288)).collect();
    let between = heap.allocate(&mine, 12_288).expect("a run");
    let _ = held;
    thread::scope(|scope| {
        scope.spawn(move || {
            let local = Box::new(Local::new());
            for _ in 0..rounds(40_000) {
                // Too large for a pocket: put down and taken up under the lock each time.
                let next = heap.allocate(&local, 400_000).expect("a run");
                // SAFETY: just allocated.
                unsafe { heap.free(&local, next) };
            }
            heap.finish_thread(&local);
            over.store(true, Release);
        });
        while !over.load(Acquire) {
            // SAFETY: held by this thread.
            let usable = unsafe { heap.usable(between) };
            assert_eq!(usable, 12_288, "the run at {between:#x} is as long as it was");
        }
    });
}

/// Which pages may hold something was noted without the lock after a discard: a page freed next to them at
/// that moment was then taken for one of zeros.
#[test]
fn calloc_gives_zeros_while_the_tide_discards_next_door() {
    let heap = &*simulated(false);
    let over = AtomicBool::new(false);
    let over = &over;
    thread::scope(|scope| {
        let tide = scope.spawn(move || {
            let mut given = 0;
            while !over.load(Acquire) {
                given += heap.tick(Token::HELPER, Reach::All);
            }
            given
        });
        let workers: Vec<_> = (0..2)
            .map(|n| {
                scope.spawn(move || {
                    let local = Box::new(Local::new());
                    let mut random = Random(5 + n);
                    let mut held = Vec::new();
                    for _ in 0..rounds(60_000) {
                        let size = 4096 * (3 + random.below(12));
                        let block = heap.allocate_zeroed(&local, size).expect("a run");
                        for page in (block..block + size).step_by(4096) {
                            // SAFETY: a page of the block.
                            unsafe {
                                assert_eq!(word(page).read(), 0, "calloc({size}) at {block:#x}: zeros");
                                word(page).write(1);
                            }
                        }
                        held.push(block);
                        if held.len() > 12 {
                            let block = held.swap_remove(random.below(held.len()));
                            // SAFETY: held by this thread.
                            unsafe { heap.free(&local, block) };
                        }
                    }
                    for block in held {
                        // SAFETY: held by this thread.
                        unsafe { heap.free(&local, block) };
                    }
                    heap.finish_thread(&local);
                })
            })
            .collect();
        let end = Over(over);
        for worker in workers {
            worker.join().expect("no worker panics");
        }
        drop(end);
        assert!(
            tide.join().expect("the tide does not panic") > 0,
            "something was given back"
        );
    });
    heap.tick(Token::HELPER, Reach::Old);
    assert_eq!(heap.verify(&[]).live(), 0);
}

#[test]
fn checked_blocks_change_hands_too() {
    let heap = simulated(true);
    let table: Vec<AtomicUsize> = (0..64).map(|_| AtomicUsize::new(0)).collect();
    let (heap, table) = (&*heap, &table);
    thread::scope(|scope| {
        for n in 0..3 {
            scope.spawn(move || {
                let local = Box::new(Local::new());
                let mut random = Random(31 + n);
                for _ in 0..rounds(2000) {
                    let block = take(heap, &local, random.size());
                    if let before @ 1.. = table[random.below(table.len())].swap(block, AcqRel) {
                        put(heap, &local, before);
                    }
                }
                heap.finish_thread(&local);
            });
        }
    });
    heap.tick(Token::HELPER, Reach::Old);
    let live = table.iter().filter(|place| place.load(Relaxed) != 0).count();
    assert_eq!(heap.verify(&[]).live(), live);
}
