#![allow(unsafe_code)]

use super::*;
use crate::advice::{self, Discard, Guard, Hint};
use crate::child::{become_user, end_of_child, in_child};
use crate::linux::Linux;
use crate::unit::Bytes;
use crate::vm::{Protection, Vm};
use core::ptr::with_exposed_provenance_mut;

const PAGE: usize = 4096;

fn part(span: Span, first: usize, count: usize) -> Span {
    Span::new(span.base() + first * PAGE, count * PAGE).unwrap()
}

/// Eight pages in a child of its own, huge ones declined: 1 and 2 written, 4 read, 6 a guard (if there are
/// any).
fn with_pages(body: impl FnOnce(Pagemap, Span, bool)) {
    in_child(|| {
        let span = Linux.map(Bytes(8 * PAGE)).unwrap();
        let _ = advice::hint(span, Hint::NoHugePage);
        for page in [1, 2] {
            // SAFETY: mapped above, for this test alone.
            unsafe { with_exposed_provenance_mut::<u8>(part(span, page, 1).base()).write_volatile(1) };
        }
        // SAFETY: as above.
        let zero = unsafe { with_exposed_provenance_mut::<u8>(part(span, 4, 1).base()).read_volatile() };
        assert_eq!(zero, 0);
        // SAFETY: (1, 2) the test's page, which nothing uses.
        let guarded = unsafe { advice::guard(part(span, 6, 1), Guard::Install) }.is_ok();
        body(Pagemap::open().unwrap(), span, guarded);
    });
}

#[test]
fn each_page_has_a_word_that_says_how_it_is() {
    with_pages(|map, span, guarded| {
        let mut words = [Word::default(); 8];
        assert_eq!(map.words(span, &mut words), Ok(8));
        assert_eq!(
            words.map(Word::is_present),
            [false, true, true, false, true, false, false, false]
        );
        assert!(words[1].is_exclusive() && !words[1].is_file_or_shared());
        for (index, word) in words.iter().enumerate() {
            // Before 6.15 a guard looks swapped.
            assert!(!word.is_swapped() || index == 6);
            assert!(!word.is_write_protected());
            assert_eq!(word.is_present(), word.frame() != Frame::Absent);
        }
        if !guarded {
            crate::child::skip(format_args!("no guards (6.13)"));
        } else if words[6].is_guard() {
            assert!(words.iter().filter(|word| word.is_guard()).count() == 1);
        } else {
            crate::child::skip(format_args!("guards do not show (6.15)"));
        }
        // Part of the span, unaligned: every page it touches.
        let touching = Span::new(span.base() + 2 * PAGE - 1, 2).unwrap();
        let mut two = [Word::default(); 2];
        assert_eq!(map.words(touching, &mut two), Ok(2));
        assert_eq!(two, [words[1], words[2]]);
        assert_eq!(map.words(part(span, 0, 0), &mut []), Ok(0));
    });
}

#[test]
fn a_file_or_shared_page_is_one_and_a_discarded_page_is_gone() {
    with_pages(|map, span, _| {
        let mut word = [Word::default()];
        // The test program's own code is a file's.
        let code = words_and_scans_refuse_what_they_cannot_hold as *const ();
        // SAFETY: a function starts with an instruction of at least a byte, which data may be read from.
        unsafe { code.cast::<u8>().read_volatile() };
        map.words(Span::new(code as usize, 1).unwrap(), &mut word)
            .unwrap();
        assert!(word[0].is_present() && word[0].is_file_or_shared());
        // SAFETY: (1, 2) the test's page, whose contents nothing needs.
        unsafe { advice::discard(part(span, 1, 1), Discard::DontNeed) }.unwrap();
        map.words(part(span, 1, 1), &mut word).unwrap();
        assert_eq!((word[0].is_present(), word[0].frame()), (false, Frame::Absent));
    });
}

#[test]
fn a_page_that_a_child_shares_is_not_exclusive() {
    with_pages(|map, span, _| {
        let end = end_of_child(|| {
            let mut word = [Word::default()];
            let own = Pagemap::open().unwrap();
            own.words(part(span, 1, 1), &mut word).unwrap();
            assert!(word[0].is_present() && !word[0].is_exclusive());
            // SAFETY: mapped for this test alone.
            unsafe { with_exposed_provenance_mut::<u8>(part(span, 1, 1).base()).write_volatile(2) };
            own.words(part(span, 1, 1), &mut word).unwrap();
            assert!(word[0].is_exclusive());
            // The parent's descriptor still shows the parent, whose page 3 nobody has touched.
            // SAFETY: as above.
            unsafe { with_exposed_provenance_mut::<u8>(part(span, 3, 1).base()).write_volatile(2) };
            map.words(part(span, 3, 1), &mut word).unwrap();
            assert!(!word[0].is_present());
        });
        assert_eq!(end, Ok(0));
    });
}

#[test]
fn a_frame_is_numbered_for_the_privileged_and_denied_to_others() {
    with_pages(|map, span, _| {
        let mut word = [Word::default()];
        map.words(part(span, 1, 1), &mut word).unwrap();
        let privileged = matches!(word[0].frame(), Frame::Number(_));
        in_child(|| {
            if !become_user(12_345) {
                assert_eq!(word[0].frame(), Frame::Denied);
                return crate::child::skip(format_args!("not run as root"));
            }
            let other = Span::new(span.base() + 4 * PAGE, PAGE).unwrap();
            // A descriptor's rights are those of whoever opened it.
            match Pagemap::open() {
                Err(errno) => assert_eq!(errno, Errno::EACCES),
                Ok(own) => {
                    own.words(other, &mut word).unwrap();
                    assert!(word[0].is_present());
                    assert_eq!(word[0].frame(), Frame::Denied);
                }
            }
        });
        if !privileged {
            crate::child::skip(format_args!("no CAP_SYS_ADMIN to see frames with"));
        }
    });
}

#[test]
fn words_and_scans_refuse_what_they_cannot_hold() {
    let map = Pagemap::open().unwrap();
    let span = Span::new(0x10_0000, 2 * PAGE).unwrap();
    assert_eq!(map.words(span, &mut [Word::default()]), Err(Errno::EINVAL));
    let query = Query::all_of(Categories::PRESENT);
    assert_eq!(map.scan(span, &query, &mut []), Err(Errno::EINVAL));
    // Nothing is mapped past the end of user space, and the file ends there.
    let beyond = Span::new(usize::MAX & !(2 * PAGE - 1), PAGE).unwrap();
    assert_eq!(map.words(beyond, &mut [Word::default()]), Ok(0));
    map.close();
    in_child(|| {
        map.close();
        assert_eq!(map.words(span, &mut [Word::default(); 2]), Err(Errno::EBADF));
        let scanned = map.scan(span, &query, &mut [Region::default()]);
        assert_eq!(scanned, Err(Errno::EBADF));
    });
}

/// Whether the kernel can scan.
fn can_scan(map: Pagemap, span: Span) -> bool {
    let query = Query::all_of(Categories::PRESENT);
    let scanned = map.scan(span, &query, &mut [Region::default()]);
    if scanned == Err(Errno::ENOTTY) {
        crate::child::skip(format_args!("no PAGEMAP_SCAN (6.7)"));
    }
    scanned != Err(Errno::ENOTTY)
}

#[test]
fn a_scan_finds_regions_and_goes_on_where_it_stopped() {
    with_pages(|map, span, _| {
        if !can_scan(map, span) {
            return;
        }
        let query = Query::all_of(Categories::PRESENT);
        let mut regions = [Region::default(); 4];
        let all = map.scan(span, &query, &mut regions).unwrap();
        assert_eq!((all.regions, all.rest.is_empty()), (2, true));
        assert_eq!(regions[0].span(), part(span, 1, 2));
        assert_eq!(regions[1].span(), part(span, 4, 1));
        assert_eq!(regions[0].categories(), Categories::PRESENT);
        assert!(regions[2].span().is_empty());

        let mut one = [Region::default()];
        let first = map.scan(span, &query, &mut one).unwrap();
        assert_eq!((first.regions, one[0]), (1, regions[0]));
        assert!(!first.rest.is_empty() && first.rest.base() >= one[0].span().end());
        let second = map.scan(first.rest, &query, &mut one).unwrap();
        assert_eq!((second.regions, one[0]), (1, regions[1]));
    });
}

#[test]
fn a_query_can_ask_for_absence_for_either_and_for_more_to_be_shown() {
    with_pages(|map, span, guarded| {
        if !can_scan(map, span) {
            return;
        }
        let mut regions = [Region::default(); 8];
        let absent = Query {
            inverted: Categories::PRESENT,
            ..Query::all_of(Categories::PRESENT)
        };
        let found = map.scan(part(span, 0, 4), &absent, &mut regions).unwrap();
        assert_eq!(found.regions, 2);
        assert_eq!(
            (regions[0].span(), regions[1].span()),
            (part(span, 0, 1), part(span, 3, 1))
        );
        let any = Query {
            any: Categories::ZERO | Categories::SWAPPED,
            shown: Categories::ZERO | Categories::PRESENT | Categories::FILE,
            ..Query::default()
        };
        let found = map.scan(span, &any, &mut regions).unwrap();
        assert_eq!(found.regions, 1 + usize::from(guarded));
        assert_eq!(regions[0].span(), part(span, 4, 1));
        assert!(
            regions[0]
                .categories()
                .contains(Categories::ZERO | Categories::PRESENT)
        );
        assert!(!regions[0].categories().contains(Categories::FILE));
        match map.scan(span, &Query::all_of(Categories::GUARD), &mut regions) {
            Err(errno) => {
                assert_eq!(errno, Errno::EINVAL);
                crate::child::skip(format_args!("scans know no guards (6.16)"));
            }
            Ok(found) => {
                assert_eq!(found.regions, usize::from(guarded));
                assert!(!guarded || regions[0].span() == part(span, 6, 1));
            }
        }
    });
}

#[test]
fn a_scan_refuses_what_the_kernel_refuses() {
    with_pages(|map, span, _| {
        if !can_scan(map, span) {
            return;
        }
        let query = Query::all_of(Categories::PRESENT);
        let mut regions = [Region::default()];
        let odd = Span::new(span.base() + 1, PAGE).unwrap();
        assert_eq!(map.scan(odd, &query, &mut regions), Err(Errno::EINVAL));
        let unknown = Query::all_of(Categories(1 << 63));
        assert_eq!(map.scan(span, &unknown, &mut regions), Err(Errno::EINVAL));
        let kernels = Span::new(1 << 63, PAGE).unwrap();
        assert_eq!(map.scan(kernels, &query, &mut regions), Err(Errno::EFAULT));
        // SAFETY: (1, 2) the test's pages.
        unsafe { Linux.protect(span, Protection::None) }.unwrap();
        assert_eq!(map.scan(span, &query, &mut regions).unwrap().regions, 1);
    });
}
