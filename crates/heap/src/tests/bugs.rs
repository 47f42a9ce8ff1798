//! Every bug that was found in the heap, each with the least program that shows it.

#![allow(unsafe_code)]

use super::action::Action;
use super::oracle::{Setup, World};
use crate::class::Class;
use crate::heap::Heap;
use crate::local::Local;
use crate::options::Setting;
use neap_abi::Backend;
use neap_os::sim::Sim;
use neap_os::vm::Vm;
use std::boxed::Box;
use std::vec::Vec;

const MMAP: Setup = Setup {
    backend: Backend::Mmap,
    check: false,
};
const BRK: Setup = Setup {
    backend: Backend::Brk,
    check: false,
};

fn play(setup: Setup, actions: &[Action]) {
    super::oracle::play(setup, actions, Vec::new());
}

/// Alignment was reckoned from the window's start, which the break puts at any multiple of a chunk.
#[test]
fn blocks_of_the_break_are_aligned_to_more_than_a_chunk() {
    for shift in 21..26 {
        play(
            BRK,
            &[
                Action::Aligned {
                    thread: 0,
                    size: 100,
                    shift,
                },
                Action::Aligned {
                    thread: 0,
                    size: 5 << 20,
                    shift,
                },
            ],
        );
    }
}

/// Checked slabs lie on shelves too; the sweep took them for shelved ones and put them under its own rules.
#[test]
fn a_tick_leaves_checked_slabs_alone() {
    let check = Setup { check: true, ..MMAP };
    play(
        check,
        &[
            Action::Burst {
                thread: 0,
                size: 100,
                count: 50,
            },
            Action::FreeEvery { thread: 0, step: 2 },
            Action::Tick(3),
            Action::Trim { thread: 0 },
        ],
    );
}

/// The top was lowered across the end of the break: munmap of memory that the break still covers.
#[test]
fn the_top_is_lowered_to_the_end_of_the_break_and_no_further_at_once() {
    let mut world = World::new(BRK);
    world.run(&Action::Allocate {
        thread: 0,
        size: 3 << 20,
    });
    // The break cannot grow: the next chunks come from mmap and lie right behind.
    world.run(&Action::FailNext(1));
    world.run(&Action::Allocate {
        thread: 0,
        size: 9 << 20,
    });
    assert!(world.heap.window().chunk_base(world.heap.window().top()) > world.heap.vm.program_break());
    world.run(&Action::FreeEvery { thread: 0, step: 1 });
    world.run(&Action::Trim { thread: 0 });
    world.run(&Action::Trim { thread: 0 });
    assert_eq!(world.heap.window().top(), 0);
    world.wind_up();
}

/// A slab that a fork left behind kept its owner when the forking thread had no record and one other had.
/// The next thread with that owner's address then took it for its own.
#[test]
fn a_fork_by_a_thread_that_never_allocated_forgets_the_only_other() {
    play(
        MMAP,
        &[
            Action::Burst {
                thread: 1,
                size: 5000,
                count: 5,
            },
            Action::Fork { thread: 0 },
            Action::Burst {
                thread: 1,
                size: 5000,
                count: 5,
            },
            Action::FreeEvery { thread: 1, step: 1 },
        ],
    );
}

/// A thread that had ended could not claim a full slab, and left its blocks on the remote list. When
/// such threads freed all of them nobody was left to claim it.
#[test]
fn a_full_slab_freed_by_an_ended_thread_is_given_back() {
    play(
        MMAP,
        &[
            Action::EndThread { thread: 0 },
            Action::Burst {
                thread: 0,
                size: 1025,
                count: 57,
            },
            Action::FreeEvery { thread: 0, step: 1 },
        ],
    );
}

/// Chunks passed over for an alignment kept the top from going down: what lay below stayed mapped.
#[test]
fn the_top_goes_down_past_chunks_that_were_passed_over() {
    play(
        MMAP,
        &[
            Action::Allocate { thread: 0, size: 0 },
            Action::Aligned {
                thread: 0,
                size: 0,
                shift: 22,
            },
        ],
    );
}

/// mremap moved a block to an address for which the full table had no place, and the block was lost.
#[test]
fn blocks_grow_while_the_table_of_mappings_is_full() {
    let heap = Box::new(Heap::new(Sim::new()));
    let local = Box::new(Local::new());
    heap.open(&local, Backend::Mmap, false, &[heap.vm.arena_hint()])
        .expect("a heap");
    heap.set(&local, Setting::MmapThreshold, 9000);
    heap.set(&local, Setting::MmapMax, usize::MAX);
    let word = |address| core::ptr::with_exposed_provenance_mut::<usize>(address);
    let mut blocks: Vec<usize> = (0..17_000).filter_map(|_| heap.allocate(&local, 9000)).collect();
    for (n, block) in blocks.iter().enumerate() {
        // SAFETY: the first word of a block in use.
        unsafe { word(*block).write(n) };
    }
    for (n, block) in blocks.iter_mut().enumerate() {
        // SAFETY: a block in use; then its first word.
        unsafe {
            *block = heap.resize(&local, *block, 20_000).expect("there is memory");
            assert_eq!(word(*block).read(), n, "block {n} keeps its contents");
        }
    }
    let found = heap.verify(&[&local]);
    assert_eq!(found.live(), blocks.len());
    for block in blocks {
        // SAFETY: a block in use, given up.
        unsafe { heap.free(&local, block) };
    }
}

/// The number of chunks was cut to 32 bits: a huge realloc of an extent seemed to fit where it was.
#[test]
fn an_extent_does_not_grow_beyond_the_address_space() {
    for size in [
        usize::MAX,
        isize::MAX as usize,
        1 << 53,
        1 << 54,
        (1 << 53) + (3 << 20),
    ] {
        play(
            MMAP,
            &[
                Action::Allocate {
                    thread: 0,
                    size: 3 << 20,
                },
                Action::Resize {
                    thread: 0,
                    nth: 0,
                    size,
                },
                Action::Allocate {
                    thread: 0,
                    size: 3 << 20,
                },
            ],
        );
    }
}

/// The queue of frees from signal handlers links blocks by their first word. In a block of fewer bytes that
/// is slack, and checking mode took the link for a write past the end.
#[test]
fn tiny_checked_blocks_are_freed_in_handlers() {
    let check = Setup { check: true, ..MMAP };
    for size in [0, 1, 7, 8, 9, 24] {
        play(
            check,
            &[
                Action::Allocate { thread: 0, size },
                Action::Aligned {
                    thread: 0,
                    size,
                    shift: 6,
                },
                Action::Aligned {
                    thread: 0,
                    size,
                    shift: 20,
                },
                Action::AllocateInHandler { thread: 0, size },
                Action::FreeInHandler { thread: 0, nth: 0 },
                Action::FreeInHandler { thread: 0, nth: 0 },
                Action::FreeInHandler { thread: 1, nth: 0 },
                Action::FreeInHandler { thread: 1, nth: 0 },
                Action::Allocate { thread: 0, size },
            ],
        );
    }
}

/// When the kernel would not take back what lay around an aligned mapping, a part of a mapping was left as
/// the block, and later resized as if it were the whole.
#[test]
fn an_aligned_mapping_that_cannot_be_trimmed_is_whole_or_none() {
    for refused in 1..6 {
        play(
            MMAP,
            &[
                Action::SetOption(Setting::MmapThreshold, 9000),
                Action::Allocate {
                    thread: 0,
                    size: 20_000,
                },
                Action::FailNext(refused),
                Action::Aligned {
                    thread: 0,
                    size: 10_000,
                    shift: 22,
                },
                Action::Resize {
                    thread: 0,
                    nth: 0,
                    size: 50_000,
                },
                Action::Resize {
                    thread: 0,
                    nth: 1,
                    size: 50_000,
                },
            ],
        );
    }
}

/// Frees the first, the second and again the first of `blocks`: a ring, which no look at the first block
/// of a list can see.
fn free_in_a_ring(heap: &Heap<Sim>, local: &Local, blocks: &[usize]) {
    for n in [0, 1, 0] {
        // SAFETY: blocks of the heap, of which nobody uses the contents; the third free is the misuse.
        unsafe { heap.free(local, blocks[n]) };
    }
}

fn simulated_heap(local: &Local) -> Box<Heap<Sim>> {
    let heap = Box::new(Heap::new(Sim::new()));
    heap.open(local, Backend::Mmap, false, &[heap.vm.arena_hint()])
        .expect("a heap");
    heap
}

/// The walk to the end of a remote list never ended when a double free had made it a ring.
#[test]
#[should_panic(expected = "double free")]
fn a_remote_list_that_is_a_ring_is_a_double_free() {
    let (owner, other) = (Box::new(Local::new()), Box::new(Local::new()));
    let heap = simulated_heap(&owner);
    let blocks: Vec<usize> = (0..20).filter_map(|_| heap.allocate(&owner, 100)).collect();
    // The second thread needs a record of its own to have an outbox.
    assert!(heap.allocate(&other, 1000).is_some());
    free_in_a_ring(&heap, &other, &blocks);
    heap.finish_thread(&other);
    // What lies ready in the owner's hand goes on its local list, behind which the remote list is to come.
    heap.finish_thread(&owner);
}

/// The sweep's walk over the local list of a shelved slab never ended when a double free had made it a ring.
#[test]
#[should_panic(expected = "double free")]
fn a_swept_list_that_is_a_ring_is_a_double_free() {
    let (owner, other) = (Box::new(Local::new()), Box::new(Local::new()));
    let heap = simulated_heap(&owner);
    let class = Class::of_size(5000);
    let blocks: Vec<usize> = (0..class.capacity())
        .filter_map(|_| heap.allocate(&owner, 5000))
        .collect();
    heap.finish_thread(&owner);
    // The full slab is nobody's now, and the other thread's from the first free on.
    free_in_a_ring(&heap, &other, &blocks);
    heap.finish_thread(&other);
    heap.trim(&other);
}
