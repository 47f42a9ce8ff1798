//! Each cause of one errno is told apart, by making it in a child.

use super::*;
use crate::anon::Anon;
use crate::area::Guards;
use crate::child::{address_space, become_user, exhaust_maps, in_child, limit};
use crate::lock::When;

const MIB: usize = 1 << 20;

#[test]
fn the_map_count_is_told_from_other_lack_of_memory() {
    in_child(|| {
        // A hole to split in, made while there is room.
        let map = Anon::private(3 * 4096).map().unwrap();
        exhaust_maps(0);
        // mmap may reach the limit, a split may not.
        let maps: Vec<_> = (0..4).map(|_| Anon::shared(4096).map()).collect();
        let error = maps
            .iter()
            .find_map(|map| map.as_ref().err())
            .expect("a map too many");
        assert_eq!(error.kind(), Kind::MapCountExhausted);
        let refused = map.unmap_range(4096..8192).unwrap_err();
        assert_eq!(refused.error().kind(), Kind::MapCountExhausted);
        let mut map = refused.into_inner();
        assert_eq!(map.len(), 3 * 4096);
        map.fill(1);
        let error = map.lock(4096..8192, When::OnFault).unwrap_err();
        assert_eq!(error.kind(), Kind::MapCountExhausted);
        let protection = crate::protection::Protection::NoAccess;
        let error = map.while_protected(4096..8192, protection, |_| ()).unwrap_err();
        assert_eq!(
            (error.kind(), error.range()),
            (Kind::MapCountExhausted, 4096..8192)
        );
        map.fill(2);
        assert_eq!(map[3 * 4096 - 1], 2);
        map.unmap().unwrap();
    });
}

#[test]
fn the_limit_of_the_address_space_is_named() {
    in_child(|| {
        limit(libc::RLIMIT_AS, address_space() + 16 * MIB as u64);
        let error = Anon::private(64 * MIB).map().unwrap_err();
        assert_eq!(error.kind(), Kind::AddressSpaceLimit);
        assert_eq!(error.errno(), Some(Errno::ENOMEM));
        assert_eq!(
            Anon::private(64 * MIB).reserve().unwrap_err().kind(),
            Kind::AddressSpaceLimit
        );
        let mut map = Anon::private(MIB).map().unwrap();
        assert_eq!(
            map.resize_moving(64 * MIB).unwrap_err().kind(),
            Kind::AddressSpaceLimit
        );
        assert_eq!(map.len(), MIB);
    });
}

#[test]
fn the_limit_of_data_is_named_for_private_writable_memory_only() {
    in_child(|| {
        limit(libc::RLIMIT_DATA, 256 * MIB as u64);
        assert_eq!(
            Anon::private(512 * MIB).map().unwrap_err().kind(),
            Kind::DataLimit
        );
        Anon::shared(512 * MIB).map().unwrap();
        let room = Anon::private(512 * MIB).reserve().unwrap();
        let refused = room.commit().unwrap_err();
        assert_eq!(refused.error().kind(), Kind::DataLimit);
        let mut room = refused.into_inner();
        assert_eq!(room.commit_front(512 * MIB).unwrap_err().kind(), Kind::DataLimit);
        assert_eq!(room.len(), 512 * MIB);
        room.commit_front(MIB).unwrap()[0] = 1;
    });
}

#[test]
fn more_than_the_machine_has_is_overcommit() {
    let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap();
    if mode.trim() == "1" {
        return crate::skip::skip(format_args!("vm.overcommit_memory=1 promises everything"));
    }
    let much = 40 << 40;
    assert_eq!(Anon::private(much).map().unwrap_err().kind(), Kind::Overcommit);
    let room = Anon::private(much).reserve().unwrap();
    assert_eq!(room.commit().unwrap_err().error().kind(), Kind::Overcommit);
    // Longer than any address.
    let error = Anon::private(1 << 60).reserve().unwrap_err();
    assert_eq!(error.kind(), Kind::OutOfMemory);
    assert_eq!(
        Anon::private(usize::MAX - 4096).map().unwrap_err().kind(),
        Kind::TooLarge
    );
    assert_eq!(
        Anon::private(1 << 63)
            .guards(Guards::Both)
            .map()
            .unwrap_err()
            .kind(),
        Kind::TooLarge
    );
}

#[test]
fn the_limit_of_locked_memory_is_named() {
    in_child(|| {
        limit(libc::RLIMIT_MEMLOCK, 64 << 10);
        if !become_user(12_345) {
            return crate::skip::skip(format_args!("only root can become a user without CAP_IPC_LOCK"));
        }
        let map = Anon::private(1 << 20).map().unwrap();
        let held = map.lock(..32 << 10, When::Now).unwrap();
        let error = map.lock(.., When::Now).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (Kind::MemlockLimit, Some(Errno::ENOMEM))
        );
        let error = Anon::private(1 << 20).locked().map().unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (Kind::MemlockLimit, Some(Errno::EAGAIN))
        );
        held.unlock().unwrap();
        let mut locked = Anon::private(48 << 10).locked().map().unwrap();
        let error = locked.resize_moving(1 << 20).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (Kind::MemlockLimit, Some(Errno::EAGAIN))
        );
        drop(locked);
        limit(libc::RLIMIT_MEMLOCK, 0);
        let error = map.lock(..1, When::Now).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (Kind::MemlockLimit, Some(Errno::EPERM))
        );
        let error = Anon::private(4096).locked().map().unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (Kind::MemlockLimit, Some(Errno::EPERM))
        );
    });
}

#[test]
fn low_addresses_are_not_for_everybody_and_address_0_for_nobody() {
    assert_eq!(Anon::private(4096).at(0).map().unwrap_err().kind(), Kind::Invalid);
    let minimum = std::fs::read_to_string("/proc/sys/vm/mmap_min_addr").unwrap();
    let minimum: usize = minimum.trim().parse().unwrap();
    if minimum <= 4096 {
        return crate::skip::skip(format_args!(
            "vm.mmap_min_addr keeps nobody from more than the first page"
        ));
    }
    in_child(|| {
        if !become_user(12_345) {
            return crate::skip::skip(format_args!("only root can become a user without CAP_SYS_RAWIO"));
        }
        let error = Anon::private(4096).at(minimum - 4096).map().unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (Kind::NotPermitted, Some(Errno::EPERM))
        );
    });
}

#[test]
fn what_the_maps_allow_is_read_as_the_kernel_writes_it() {
    let map = Anon::private(4 * 4096).map().unwrap();
    let span = map.area().span();
    let part = |first: usize, count: usize| Span::new(span.base() + first * 4096, count * 4096).unwrap();
    let both = Prot::READ | Prot::WRITE;
    assert!(allows(span, both) && allows(part(1, 1), Prot::NONE) && !allows(span, Prot::EXEC));
    let (map, behind) = map.unmap_range(4096..8192).unwrap();
    assert!(allows(part(0, 1), both) && allows(part(2, 2), both));
    assert!(!allows(part(0, 2), Prot::NONE) && !allows(part(1, 2), Prot::NONE));
    let behind = behind.into_read_only().unwrap();
    assert!(allows(part(2, 2), Prot::READ) && !allows(part(2, 1), both));
    drop((map, behind));
    assert!(!allows(part(2, 1), Prot::NONE));
}
