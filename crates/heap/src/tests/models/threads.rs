//! Threads that begin and end at the same moment.

use super::set::{Set, explore};
use crate::sync::Relaxed;

/// *Fails with* the list of records searched without its lock.
#[test]
fn no_two_threads_have_one_record() {
    explore(
        2,
        || {
            let set = Set::new();
            set.take(0, 0, 16);
            set
        },
        &[
            |set| assert!(set.heap.thread_of(set.local(1)).is_some()),
            |set| assert!(set.heap.thread_of(set.local(2)).is_some()),
            |set| set.heap.finish_thread(set.local(0)),
        ],
        |set| {
            set.assert_whole();
            let records = [1, 2].map(|who| core::ptr::from_ref(set.local(who).thread().expect("a record")));
            assert_ne!(records[0], records[1], "each has its own");
            assert_eq!(set.heap.registry.threads.load(Relaxed), 2);
        },
    );
}
