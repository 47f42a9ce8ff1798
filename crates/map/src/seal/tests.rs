//! Seals, and names.

use super::*;
use crate::anon::Anon;
use crate::child::in_child;
use crate::smaps;

#[test]
fn a_sealed_map_is_there_for_ever() {
    in_child(|| {
        let mut map = Anon::private(8192).guards(crate::Guards::Both).map().unwrap();
        map[0] = 3;
        let sealed = match map.into_read_only().unwrap().sealed() {
            Err(refused) => {
                assert_eq!(refused.error().kind(), Kind::Unsupported(Feature::Seal));
                return crate::skip::skip(format_args!("{refused}"));
            }
            Ok(sealed) => sealed,
        };
        let place = sealed.as_ptr();
        assert!(smaps::at(place).unwrap().has("sl"));
        let map = std::mem::replace(sealed, Anon::private(0).map().unwrap().into_read_only().unwrap());
        let refused = map.into_owned().unwrap_err();
        assert_eq!(
            (refused.error().kind(), refused.error().errno()),
            (Kind::MapSealed, Some(Errno::EPERM))
        );
        let refused = refused.into_inner().unmap().unwrap_err();
        assert_eq!(refused.error().kind(), Kind::MapSealed);
        drop(refused);
        assert_eq!(
            smaps::at(place).map(|entry| entry.rights).as_deref(),
            Some("r--p")
        );
    });
    assert!(Anon::private(0).map().unwrap().sealed().unwrap().is_empty());
}

#[test]
fn names_are_checked_then_shown_or_unsupported() {
    let map = Anon::private(4096).map().unwrap();
    let long = std::ffi::CString::new([b'x'; 80]).unwrap();
    for bad in [
        c"a[b",
        c"a]b",
        c"a\\b",
        c"a$b",
        c"a`b",
        c"tab\t",
        c"\xc3\xa4",
        &long,
    ] {
        assert_eq!(map.set_name(bad).unwrap_err().kind(), Kind::BadName, "{bad:?}");
    }
    let shown = || {
        std::fs::read_to_string("/proc/self/maps")
            .unwrap()
            .contains("[anon:neap: this one]")
    };
    match map.set_name(c"neap: this one") {
        Ok(()) => {
            assert!(shown());
            map.clear_name().unwrap();
            assert!(!shown());
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Unsupported(Feature::Name));
            crate::skip::skip(format_args!("{error}"));
        }
    }
}
