//! Tests: whatever is asked of a map, its neighbours stay as they are.
//!
//! A map lies between two canaries without a gap. Random calls with ranges inside, at the edges and outside
//! are made on it; after each the canaries have their bytes, their rights and their flags, each as one
//! mapping, and the map has the bytes of a model that knows nothing of pages.

use crate::anon::Anon;
use crate::error::Kind;
use crate::file::FileMap;
use crate::lock::When;
use crate::map::Map;
use crate::protection::Protection;
use crate::smaps;
use crate::view::{Owned, VolatileMut};
use neap_os::advice::{self, Hint};
use proptest::prelude::*;
use std::fs::File;

const PAGE: usize = 4096;
const SIDE: usize = 4 * PAGE;

/// A mapping beside the one that is tested, of a kind that the kernel does not join with it.
struct Canary {
    map: Map<Owned>,
    before: Vec<smaps::Entry>,
}

fn shown(map: &Map<Owned>) -> Vec<smaps::Entry> {
    let span = map.area().span();
    let touches = |entry: &smaps::Entry| entry.span.base() < span.end() && span.base() < entry.span.end();
    smaps::entries().into_iter().filter(touches).collect()
}

impl Canary {
    fn new(mut map: Map<Owned>) -> Canary {
        map.fill(0xa5);
        // Nothing in these tests sets or clears it.
        advice::hint(map.area().span(), Hint::DontDump).unwrap();
        let before = shown(&map);
        assert_eq!(before.len(), 1);
        assert_eq!(before[0].span, map.area().span());
        Canary { map, before }
    }

    fn check(&self) {
        assert!(self.map.iter().all(|&byte| byte == 0xa5));
        let now = shown(&self.map);
        assert_eq!(now.len(), 1);
        assert_eq!(
            (now[0].span, &now[0].rights),
            (self.before[0].span, &self.before[0].rights)
        );
        assert_eq!(now[0].flags(), self.before[0].flags());
    }
}

/// `len` bytes of memory between two canaries, the second of which starts on the page behind it.
fn between(len: usize) -> (Canary, Map<Owned>, Canary) {
    let whole = len.next_multiple_of(PAGE);
    let mut first = Anon::private(SIDE + whole + SIDE).map().unwrap();
    let mut middle = first.split_off(SIDE).unwrap();
    let behind = middle.split_off(whole).unwrap();
    let (first, behind) = (Canary::new(first), Canary::new(behind));
    middle.resize(len).unwrap();
    (first, middle, behind)
}

#[derive(Clone, Debug)]
enum Action {
    Fill(u8),
    Protect(Protection),
    Cut,
    UnmapTail,
    Lock(When),
    Resize,
    ReadOnly,
    Close,
    Decommit,
    MoveOut,
    Hint(crate::Hint),
    Discard,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        any::<u8>().prop_map(Action::Fill),
        Just(Action::Protect(Protection::NoAccess)),
        Just(Action::Protect(Protection::NoWrite)),
        Just(Action::Cut),
        Just(Action::UnmapTail),
        Just(Action::Lock(When::Now)),
        Just(Action::Lock(When::OnFault)),
        Just(Action::Resize),
        Just(Action::ReadOnly),
        Just(Action::Close),
        Just(Action::Decommit),
        Just(Action::MoveOut),
        Just(Action::Hint(crate::Hint::Random)),
        Just(Action::Hint(crate::Hint::Normal)),
        Just(Action::Discard),
    ]
}

/// Offsets on pages, beside them, anywhere, and far out.
fn offset() -> impl Strategy<Value = usize> {
    prop_oneof![
        (0usize..9).prop_map(|page| page * PAGE),
        (0usize..9).prop_map(|page| (page * PAGE).saturating_sub(1)),
        (0usize..9).prop_map(|page| page * PAGE + 1),
        0usize..8 * PAGE,
        Just(usize::MAX),
        Just(usize::MAX - PAGE + 1),
    ]
}

/// Gives up the pages that the range holds whole, the last of the map with it.
fn discard(map: &mut Map<Owned>, model: &mut [u8], start: usize, end: usize) {
    let is_inside = start <= end && end <= model.len();
    assert_eq!(map.discard(start..end).is_ok(), is_inside);
    if !is_inside {
        return;
    }
    let last = if end == model.len() {
        end
    } else {
        end & !(PAGE - 1)
    };
    let first = start.next_multiple_of(PAGE);
    if first < last {
        model[first..last].fill(0);
    }
}

/// Does it to the map and to the model, and checks that errors are those the range deserves.
fn act(mut map: Map<Owned>, model: &mut Vec<u8>, action: &Action, start: usize, end: usize) -> Map<Owned> {
    let is_inside = start <= end && end <= model.len();
    let is_edge = |at: usize| at.is_multiple_of(PAGE) || at == model.len();
    let is_exact = is_inside && (start == end || is_edge(start) && is_edge(end));
    match action {
        Action::Fill(byte) if is_inside => {
            map[start..end].fill(*byte);
            model[start..end].fill(*byte);
        }
        Action::Fill(_) => {}
        Action::Protect(protection) => {
            let outcome = map.while_protected(start..end, *protection, |around| {
                (around.before.len(), around.behind.len())
            });
            assert_eq!(outcome.is_ok(), is_exact, "{outcome:?}");
            assert!(outcome.is_err() || outcome == Ok((start, model.len() - end)));
        }
        Action::Cut => match map.split_off(start) {
            Ok(tail) => {
                assert_eq!(&tail[..], &model[start..]);
                map = map.merge(tail).unwrap();
            }
            Err(_) => assert!(start > model.len() || !is_edge(start)),
        },
        Action::UnmapTail if start > 0 && start <= model.len() && is_edge(start) => {
            let (front, _) = map.unmap_range(start..).unwrap();
            model.truncate(start);
            map = front;
        }
        Action::UnmapTail => {
            let len = map.len();
            let refused = map.unmap_range(start.max(1)..len.saturating_add(end).max(len + 1));
            map = refused.unwrap_err().into_inner();
        }
        Action::Lock(when) => {
            let locked = map.lock(start..end, *when).map(drop);
            assert!(locked.is_ok() == is_inside || locked.unwrap_err().kind() == Kind::MemlockLimit);
        }
        Action::Resize => match map.resize(start) {
            Ok(()) => model.resize(start, 0),
            Err(error) => assert!(
                error.kind() != Kind::Occupied || start.next_multiple_of(PAGE) > model.len(),
                "{error}"
            ),
        },
        Action::ReadOnly => map = map.into_read_only().unwrap().into_owned().unwrap(),
        Action::Close => map = map.close().unwrap().open().unwrap(),
        Action::Decommit => {
            map = map.decommit().unwrap().commit().unwrap();
            model.fill(0);
        }
        Action::Hint(hint) => assert_eq!(map.hint(start..end, *hint).is_ok(), is_inside),
        Action::Discard => discard(&mut map, model, start, end),
        Action::MoveOut => match map.move_out() {
            Ok(taken) => {
                assert_eq!(&taken[..], &model[..]);
                model.fill(0);
            }
            // A hint for a part has made several mappings of it, to the kernel.
            Err(error) => assert_eq!(error.kind(), Kind::Invalid),
        },
    }
    map
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn private_memory_and_its_neighbours_are_what_a_model_says(
        len in 1usize..8 * PAGE,
        actions in prop::collection::vec((action(), offset(), offset()), 1..24),
    ) {
        let (before, mut map, behind) = between(len);
        let place = map.as_ptr();
        let mut model = vec![0; len];
        for (action, start, end) in actions {
            map = act(map, &mut model, &action, start, end);
            prop_assert!(map[..] == model[..], "after {:?} of {}..{}", action, start, end);
            prop_assert_eq!(map.as_ptr(), place);
            before.check();
            behind.check();
        }
        map.unmap().unwrap();
        before.check();
        behind.check();
    }

    #[test]
    fn a_file_map_touches_the_bytes_of_its_range_only(
        head in 0usize..2 * PAGE,
        len in 1usize..4 * PAGE,
        actions in prop::collection::vec((0..6, offset(), offset()), 1..24),
    ) {
        let file = tempfile::tempfile().unwrap();
        let size = head + len + 2 * PAGE;
        file.set_len(size as u64).unwrap();
        let (all, map) = (FileMap::of(&file).writable().map().unwrap(), mapped(&file, head, len));
        let mut model = vec![0; size];
        for (step, (action, start, end)) in actions.into_iter().enumerate() {
            let is_inside = start <= end && end <= len;
            let outcome = match action {
                0 => {
                    let bytes = vec![step as u8 + 1; end.saturating_sub(start).min(size)];
                    let outcome = map.write_at(start, &bytes);
                    if outcome.is_ok() {
                        model[head + start..][..bytes.len()].copy_from_slice(&bytes);
                    }
                    let is_inside = start.checked_add(bytes.len()).is_some_and(|end| end <= len);
                    prop_assert_eq!(outcome.is_ok(), is_inside);
                    continue;
                }
                1 => map.flush(start..end),
                2 => map.invalidate(start..end),
                3 => map.start_writeback(&file, start..end),
                4 => map.lock(start..end, When::Now).map(drop),
                _ => map.lock(start..end, When::OnFault).map(drop),
            };
            let refused = outcome.err().map(|error| error.kind());
            if refused != Some(Kind::MemlockLimit) {
                prop_assert_eq!(refused, (!is_inside).then_some(Kind::OutOfRange));
            }
            let mut now = vec![0; size];
            all.read_at(0, &mut now).unwrap();
            prop_assert!(now == model);
        }
    }
}

fn mapped(file: &File, head: usize, len: usize) -> Map<VolatileMut> {
    FileMap::of(file)
        .range(head as u64..(head + len) as u64)
        .writable()
        .map()
        .unwrap()
}

/// A library that compared only the length with the map's length let this change the neighbour.
#[test]
fn three_to_seven_pages_of_a_map_of_four_are_out_of_range() {
    let (before, mut map, behind) = between(4 * PAGE);
    let range = 3 * PAGE..7 * PAGE;
    let place = map.area();
    for kind in [
        place
            .covering(crate::Operation::Advise, &range)
            .unwrap_err()
            .kind(),
        place.inside(crate::Operation::Advise, &range).unwrap_err().kind(),
        place
            .exactly(crate::Operation::Advise, &range)
            .unwrap_err()
            .kind(),
        map.hint(range.clone(), crate::Hint::NoHugePage)
            .unwrap_err()
            .kind(),
        map.lock(range.clone(), When::Now).unwrap_err().kind(),
        map.while_protected(range.clone(), Protection::NoAccess, |_| ())
            .unwrap_err()
            .kind(),
    ] {
        assert_eq!(kind, Kind::OutOfRange);
    }
    let refused = map.unmap_range(range).unwrap_err();
    assert_eq!(refused.error().kind(), Kind::OutOfRange);
    assert_eq!(refused.into_inner().len(), 4 * PAGE);
    before.check();
    behind.check();
}
