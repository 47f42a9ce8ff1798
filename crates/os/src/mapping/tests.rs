//! Each flag by its effect, each errno by its provocation.

use super::*;
use crate::child::in_child;
use core::ptr::with_exposed_provenance_mut;
use std::format;
use std::string::String;

const KIB: usize = 1024;

fn anonymous(len: usize) -> Request {
    Request {
        len: Bytes(len),
        place: Place::Anywhere,
        prot: Prot::READ | Prot::WRITE,
        sharing: Sharing::Private,
        source: Source::Anonymous,
        page: PageSize::Base,
        flags: Flags::NONE,
    }
}

fn make(request: Request) -> Result<Span, Errno> {
    assert!(!matches!(request.place, Place::Over(_)));
    // SAFETY: (1) not `Place::Over`.
    unsafe { map(&request) }
}

fn end(span: Span) {
    // SAFETY: (1, 2) tests call it last, on what they mapped.
    unsafe { unmap(span) }.unwrap();
}

/// A field of the mapping that starts at `span`, from smaps.
fn smaps(span: Span, field: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{:x}-", span.base());
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&start));
    let head = lines.next().unwrap();
    if field == "maps" {
        return String::from(head);
    }
    let line = lines
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap();
    format!("{} ", line.trim())
}

#[test]
fn each_flag_has_its_effect() {
    in_child(|| {
        for (flags, sign) in [
            (Flags::NO_RESERVE, "nr "),
            (Flags::GROWS_DOWN, "gd "),
            (Flags::LOCKED, "lo "),
        ] {
            let span = make(Request {
                flags,
                ..anonymous(16 * KIB)
            })
            .unwrap();
            assert!(smaps(span, "VmFlags").contains(sign), "{flags:?}");
            end(span);
        }
        let populated = make(Request {
            flags: Flags::POPULATE,
            ..anonymous(64 * KIB)
        })
        .unwrap();
        assert_eq!(smaps(populated, "Rss"), "64 kB ");
        end(populated);
        let flags = Flags::POPULATE | Flags::NON_BLOCK;
        let lazy = make(Request {
            flags,
            ..anonymous(64 * KIB)
        })
        .unwrap();
        assert_eq!(smaps(lazy, "Rss"), "0 kB ");
        end(lazy);
    });
}

#[test]
fn the_kind_of_sharing_shows_in_maps() {
    in_child(|| {
        let private = make(anonymous(4 * KIB)).unwrap();
        assert!(smaps(private, "maps").contains(" rw-p "));
        let shared = make(Request {
            sharing: Sharing::Shared,
            ..anonymous(4 * KIB)
        })
        .unwrap();
        assert!(smaps(shared, "maps").contains(" rw-s "));
        match make(Request {
            sharing: Sharing::Droppable,
            ..anonymous(4 * KIB)
        }) {
            Ok(span) => assert!(smaps(span, "VmFlags").contains("dp ")),
            Err(errno) => {
                assert_eq!(errno, Errno::EINVAL);
                crate::child::skip(format_args!("MAP_DROPPABLE needs Linux 6.11"));
            }
        }
    });
}

#[test]
fn rights_show_in_maps_and_change() {
    in_child(|| {
        let span = make(Request {
            prot: Prot::NONE,
            ..anonymous(8 * KIB)
        })
        .unwrap();
        for (prot, shown) in [
            (Prot::NONE, " ---p "),
            (Prot::READ, " r--p "),
            (Prot::READ | Prot::WRITE, " rw-p "),
            (Prot::READ | Prot::EXEC, " r-xp "),
            (Prot::EXEC, " --xp "),
        ] {
            // SAFETY: (1) mapped above; (2) never accessed.
            unsafe { protect(span, prot) }.unwrap();
            assert!(smaps(span, "maps").contains(shown), "{prot:?}");
        }
        end(span);
    });
}

#[test]
fn places_are_kept_or_refused() {
    in_child(|| {
        let taken = make(anonymous(16 * KIB)).unwrap();
        let at = |place| Request {
            place,
            ..anonymous(4 * KIB)
        };
        assert_eq!(make(at(Place::Free(taken.base()))), Err(Errno::EEXIST));
        let elsewhere = make(at(Place::Near(taken.base()))).unwrap();
        assert_ne!(elsewhere.base(), taken.base());
        // SAFETY: (1) the first page of a mapping of this test.
        let over = unsafe { map(&at(Place::Over(taken.base()))) }.unwrap();
        assert_eq!(over.base(), taken.base());
        // SAFETY: (1) an address that is not on a page is refused.
        let odd = unsafe { map(&at(Place::Over(taken.base() + 1))) };
        assert_eq!(odd, Err(Errno::EINVAL));
    });
}

#[test]
fn requests_that_cannot_be_met_are_the_kernels_errors() {
    let shared = |flags| Request {
        sharing: Sharing::Shared,
        flags,
        ..anonymous(4 * KIB)
    };
    let refused = [
        (anonymous(0), Errno::EINVAL),
        (anonymous(1 << 62), Errno::ENOMEM),
        (
            Request {
                source: Source::File(Fd(-1), 0),
                ..anonymous(4096)
            },
            Errno::EBADF,
        ),
        (
            Request {
                source: Source::File(Fd(0), u64::MAX - 4095),
                ..anonymous(8192)
            },
            Errno::EOVERFLOW,
        ),
        (shared(Flags::GROWS_DOWN), Errno::EINVAL),
        (
            Request {
                sharing: Sharing::SharedValidate,
                ..anonymous(4096)
            },
            Errno::EINVAL,
        ),
        (
            Request {
                page: PageSize::Huge(HugePage::of(Bytes(1 << 45)).unwrap()),
                ..anonymous(4096)
            },
            Errno::EINVAL,
        ),
    ];
    for (request, errno) in refused {
        assert_eq!(make(request), Err(errno), "{request:?}");
    }
}

#[test]
fn a_huge_page_is_whole_or_the_pool_is_empty() {
    in_child(|| {
        match make(Request {
            page: PageSize::Huge(HugePage::MIB_2),
            ..anonymous(1)
        }) {
            Ok(span) => {
                assert_eq!(span.len(), 2 << 20);
                // SAFETY: (1) part of a huge page is refused.
                let part = unsafe { unmap(Span::new(span.base(), 4096).unwrap()) };
                assert_eq!(part, Err(Errno::EINVAL));
                end(span);
            }
            Err(errno) => assert_eq!(errno, Errno::ENOMEM),
        }
    });
}

#[test]
fn remap_stays_moves_and_keeps() {
    in_child(|| {
        let span = make(anonymous(64 * KIB)).unwrap();
        let (first, second) = (Span::new(span.base(), 16 * KIB).unwrap(), span.base() + 32 * KIB);
        // SAFETY: (1) a part of this test's mapping; the part behind it is taken, so nothing happens.
        let stuck = unsafe { remap(first, Bytes(32 * KIB), Move::Stay, Old::Unmap) };
        assert_eq!(stuck, Err(Errno::ENOMEM));
        // SAFETY: (1) as above; (2) nothing uses what moves away; (3) the target is this test's.
        let moved = unsafe { remap(first, Bytes(16 * KIB), Move::To(second), Old::Unmap) }.unwrap();
        assert_eq!((moved.base(), moved.len()), (second, 16 * KIB));
        // SAFETY: mapped, writable and this test's.
        unsafe { with_exposed_provenance_mut::<u8>(moved.base()).write_volatile(7) };
        // SAFETY: (1, 2) as above.
        let kept = unsafe { remap(moved, Bytes(16 * KIB), Move::May, Old::Keep) };
        match kept {
            Ok(kept) => {
                assert_ne!(kept.base(), second);
                let byte = |span: Span| with_exposed_provenance_mut::<u8>(span.base());
                // SAFETY: both are mapped, readable and this test's.
                let bytes = unsafe { (byte(kept).read_volatile(), byte(moved).read_volatile()) };
                assert_eq!(bytes, (7, 0));
            }
            Err(errno) => {
                assert_eq!(errno, Errno::EINVAL);
                crate::child::skip(format_args!("MREMAP_DONTUNMAP needs Linux 5.7"));
            }
        }
        // SAFETY: (1) a length of 0 is refused.
        let none = unsafe { remap(moved, Bytes(0), Move::May, Old::Unmap) };
        assert_eq!(none, Err(Errno::EINVAL));
    });
}
