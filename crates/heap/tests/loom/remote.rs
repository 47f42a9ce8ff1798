//! The remote word: pushes by two threads against what an owner does.

use crate::model::{OWNER, Yard, explore};
use crate::slab::{Freed, State};
use crate::sync::Relaxed;
use loom::sync::Arc;
use loom::thread;

fn free(yard: &Arc<Yard>, n: u32) -> thread::JoinHandle<Freed> {
    let yard = yard.clone();
    thread::spawn(move || {
        yard.slab
            .free_remotely(yard.base(), yard.block(n), yard.block(n), 1)
    })
}

#[test]
fn a_full_slab_is_claimed_by_exactly_one_of_its_freers() {
    explore(|| {
        let yard = Arc::new(Yard::exhausted());
        assert!(yard.slab.abandon_full(State::Owned, OWNER));
        let others = [free(&yard, 0), free(&yard, 1)];
        let mine = yard
            .slab
            .free_remotely(yard.base(), yard.block(2), yard.block(2), 1);
        let mut fates = others.map(|other| other.join().unwrap()).to_vec();
        fates.push(mine);
        let claimed = fates.iter().filter(|fate| **fate == Freed::Claimed).count();
        let handed = fates.iter().filter(|fate| **fate == Freed::Handed).count();
        assert_eq!((claimed, handed), (1, 2));
        assert_eq!(yard.slab.remote().state(), State::Owned);
        yard.assert_free(&[0, 1, 2]);
        yard.slab.drain(yard.base());
        yard.assert_free(&[0, 1, 2]);
    });
}

#[test]
fn an_owner_that_gives_up_a_slab_loses_no_block_that_comes_back_meanwhile() {
    explore(|| {
        let yard = Arc::new(Yard::exhausted());
        let others = [free(&yard, 0), free(&yard, 1)];
        let given_up = yard.slab.abandon_full(State::Owned, OWNER);
        if !given_up {
            // As in `refill`: the slab stays, with what has come back.
            assert_eq!(yard.slab.owner.load(Relaxed), OWNER);
            assert!(yard.slab.drain(yard.base()));
        }
        let fates = others.map(|other| other.join().unwrap());
        let claimed = fates.iter().filter(|fate| **fate == Freed::Claimed).count();
        assert_eq!(
            claimed,
            usize::from(given_up),
            "claimed if and only if it was given up"
        );
        yard.assert_free(&[0, 1]);
    });
}

#[test]
fn an_owner_that_drains_and_hands_out_gets_each_block_once() {
    explore(|| {
        let yard = Arc::new(Yard::with_used(7));
        let others = [free(&yard, 0), free(&yard, 1)];
        // Block 7, then whatever has come back.
        let first = yard.slab.take_one(yard.base()).expect("one is listed");
        assert_eq!(first, yard.block(7));
        let second = yard.slab.take_one(yard.base());
        for other in others {
            assert_eq!(other.join().unwrap(), Freed::Handed);
        }
        let left: Vec<u32> = (0..2).filter(|n| second != Some(yard.block(*n))).collect();
        yard.assert_free(&left);
        assert!(second.is_none_or(|block| block == yard.block(0) || block == yard.block(1)));
    });
}

#[test]
fn a_claimer_that_gives_up_again_is_followed_by_another() {
    explore(|| {
        let yard = Arc::new(Yard::exhausted());
        assert!(yard.slab.abandon_full(State::Owned, OWNER));
        let claimer = {
            let yard = yard.clone();
            thread::spawn(move || {
                let fate = yard
                    .slab
                    .free_remotely(yard.base(), yard.block(0), yard.block(0), 1);
                if fate == Freed::Claimed {
                    yard.slab.owner.store(OWNER, Relaxed);
                    // Hands the block out again and finds nothing more.
                    assert!(yard.slab.detach().is_some());
                    return (fate, yard.slab.abandon_full(State::Owned, OWNER));
                }
                (fate, false)
            })
        };
        let mine = yard
            .slab
            .free_remotely(yard.base(), yard.block(1), yard.block(1), 1);
        let (fate, again) = claimer.join().unwrap();
        match (fate, mine) {
            (Freed::Claimed, Freed::Claimed) => assert!(again, "claimed twice, given up between"),
            (Freed::Claimed, Freed::Handed) => assert!(!again, "what was handed over keeps it owned"),
            (Freed::Handed, Freed::Claimed) => {}
            other => panic!("{other:?}"),
        }
        let expected: &[u32] = if fate == Freed::Claimed { &[1] } else { &[0, 1] };
        yard.assert_free(expected);
    });
}
