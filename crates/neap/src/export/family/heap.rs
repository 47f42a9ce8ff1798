//! Families of the heaps of libneap.so: what the allocator says of itself.

use std::borrow::Cow;

use super::super::figures::{Call, Counters, Process, Scrape};
use super::{Family, Kind, Out, Unit, Value, each_process, of};
use crate::report::Figure;

/// A sample for each heap that has the figure.
fn each_heap<'a>(scrape: &'a Scrape, out: Out<'_, 'a>, figure: impl Fn(&'a Counters) -> &'a Figure) {
    each_process(scrape, out, |process: &'a Process| {
        process.heap.as_ref().map(|heap| figure(&heap.counters))
    });
}

/// A sample for each heap and memory call.
fn each_call<'a>(scrape: &'a Scrape, out: Out<'_, 'a>, count: impl Fn(&Call) -> u64) {
    for process in &scrape.processes {
        for call in process.heap.iter().flat_map(|heap| &heap.memory_calls) {
            let mut labels = of(process);
            labels.push(("call", Cow::Borrowed(call.name)));
            out(labels, Value::Whole(count(call)));
        }
    }
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        stem: "neap_heap",
        unit: Unit::None,
        kind: Kind::Info,
        help: "A process with a heap of libneap.so, and where the heap gets its memory: mmap or brk.",
        samples: |scrape, out| {
            for process in &scrape.processes {
                if let Some(heap) = &process.heap {
                    let mut labels = of(process);
                    labels.push(("backend", Cow::Borrowed(heap.backend)));
                    out(labels, Value::Whole(1));
                }
            }
        },
    },
    Family {
        stem: "neap_heap_live",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Bytes in live blocks, in block sizes, as last counted; blocks that threads have ready included.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.live_bytes),
    },
    Family {
        stem: "neap_heap_live_blocks",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Live blocks, as last counted.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.live_blocks),
    },
    Family {
        stem: "neap_heap_held",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Addresses that the heap has from the kernel for blocks; not all of them are in RAM.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.held_bytes),
    },
    Family {
        stem: "neap_heap_dirty",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Free pages that are not given back yet, as last counted.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.dirty_bytes),
    },
    Family {
        stem: "neap_heap_records",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Bytes mapped for the heap's own records.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.meta_bytes),
    },
    Family {
        stem: "neap_heap_threads",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Threads that have blocks of their own ready.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.threads),
    },
    Family {
        stem: "neap_heap_live_peak",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "The most bytes that live blocks had whenever they were counted.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.live_peak_bytes),
    },
    Family {
        stem: "neap_heap_held_peak",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "The most addresses that the heap ever had.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.held_peak_bytes),
    },
    Family {
        stem: "neap_heap_large_blocks",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Live blocks larger than the size classes, as last counted.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.large_blocks),
    },
    Family {
        stem: "neap_heap_large",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Bytes of the live blocks larger than the size classes.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.large_bytes),
    },
    Family {
        stem: "neap_heap_direct_blocks",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Live blocks with a mapping of their own, as last counted.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.direct_blocks),
    },
    Family {
        stem: "neap_heap_direct",
        unit: Unit::Bytes,
        kind: Kind::Gauge,
        help: "Bytes of the live blocks with a mapping of their own.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.direct_bytes),
    },
    Family {
        stem: "neap_heap_given_back",
        unit: Unit::Bytes,
        kind: Kind::Counter,
        help: "Bytes given back to the kernel; a page counts each time it goes.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.given_back_bytes),
    },
    Family {
        stem: "neap_heap_regret",
        unit: Unit::Bytes,
        kind: Kind::Counter,
        help: "Bytes given back and wanted again within a second.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.regret_bytes),
    },
    Family {
        stem: "neap_heap_purges",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Times that a pass found something to give back.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.purges),
    },
    Family {
        stem: "neap_heap_helper_starts",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Times that the helper thread was started.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.helper_starts),
    },
    Family {
        stem: "neap_heap_helpers",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Helper threads that live: 0 or 1.",
        samples: |scrape, out| each_heap(scrape, out, |heap| &heap.helpers),
    },
    Family {
        stem: "neap_heap_memory_calls",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Memory calls of the heap that succeeded.",
        samples: |scrape, out| each_call(scrape, out, |call| call.calls),
    },
    Family {
        stem: "neap_heap_memory_call",
        unit: Unit::Bytes,
        kind: Kind::Counter,
        help: "Bytes that those memory calls were about.",
        samples: |scrape, out| each_call(scrape, out, |call| call.bytes),
    },
    Family {
        stem: "neap_heap_memory_call_failures",
        unit: Unit::None,
        kind: Kind::Counter,
        help: "Memory calls of the heap that failed.",
        samples: |scrape, out| each_call(scrape, out, |call| call.failed),
    },
    Family {
        stem: "neap_heap_class_live_blocks",
        unit: Unit::None,
        kind: Kind::Gauge,
        help: "Live blocks of one size; only classes that have some, and only with --classes.",
        samples: |scrape, out| {
            for process in &scrape.processes {
                for class in process.heap.iter().flat_map(|heap| &heap.classes) {
                    let mut labels = of(process);
                    labels.push(("block_bytes", Cow::Owned(class.block_bytes.to_string())));
                    out(labels, Value::Whole(class.live_blocks));
                }
            }
        },
    },
];
