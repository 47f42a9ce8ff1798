//! The helper: started by one thread, ended by another that is about to change its credentials.

#![allow(unsafe_code)]

use super::shore::Shore;
use crate::heap::Heap;
use crate::model::explore;
use crate::sync::{AcqRel, Acquire, AtomicU32, Relaxed};
use neap_os::linux::Linux;

struct Scene {
    heap: Heap<Linux>,
    done: AtomicU32,
}

impl Scene {
    fn new() -> &'static Scene {
        // SAFETY: room for it; a heap of all zeros is closed, and a closed heap's tide has nothing to do.
        unsafe { &*Shore::clean().place::<Scene>() }
    }

    /// As `preload/credentials.rs` does it.
    fn change(&'static self) {
        self.heap.hold_helper();
        let helper = &self.heap.tide.helper;
        assert_eq!(helper.tid.load(Acquire), 0, "no helper lives");
        // Nor is one started while this thread does what it must do without.
        crate::sync::spin_loop();
        assert_eq!(helper.tid.load(Acquire), 0, "no helper has come");
        self.heap.release_helper();
    }

    /// Who ends last sees to it that no helper is left.
    fn done(&self) {
        if self.done.fetch_add(1, AcqRel) == 1 {
            self.heap.forgo_helper();
        }
    }
}

/// *Fails with* `start_helper` that does not look at the holds again after it has said ALIVE; without its fence.
#[test]
fn no_helper_lives_while_it_is_held() {
    explore(
        2,
        Scene::new,
        &[
            |scene: &'static Scene| {
                scene.heap.start_helper();
                scene.done();
            },
            |scene| {
                scene.change();
                scene.done();
            },
        ],
        |scene| assert_eq!(scene.heap.tide.helper.holds.load(Relaxed), 0),
    );
}
