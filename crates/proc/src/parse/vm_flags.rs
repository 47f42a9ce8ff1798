//! The line `VmFlags` of smaps: what the kernel was told about a mapping, as pairs of letters.
//!
//! Sources: show_smap_vma_flags in fs/proc/task_mmu.c and Documentation/filesystems/proc.rst. A pair that
//! this list does not have is counted, never an error: kernels keep adding them. The line is there since 3.8.

macro_rules! flags {
    ($($(#[$doc:meta])* $flag:ident $code:literal;)*) => {
        /// One pair of letters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum VmFlag { $($(#[$doc])* $flag,)* }

        impl VmFlag {
            /// All that are known.
            pub const ALL: [VmFlag; [$($code),*].len()] = [$(VmFlag::$flag),*];

            /// The two letters.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(VmFlag::$flag => $code,)* }
            }
        }
    };
}

flags! {
    /// PROT_READ.
    Read "rd";
    /// PROT_WRITE.
    Write "wr";
    /// PROT_EXEC.
    Execute "ex";
    /// MAP_SHARED with a file that may be written, or shared memory.
    Shared "sh";
    /// May become readable.
    MayRead "mr";
    /// May become writable.
    MayWrite "mw";
    /// May become executable.
    MayExecute "me";
    /// May be shared.
    MayShare "ms";
    /// Grows down, as a stack.
    GrowsDown "gd";
    /// A range of frames without struct page.
    Frames "pf";
    /// Writes to the file fail (until 5.14).
    DenyWrite "dw";
    /// Locked by mlock(2).
    Locked "lo";
    /// Memory of a device.
    Device "io";
    /// MADV_SEQUENTIAL.
    SequentialRead "sr";
    /// MADV_RANDOM.
    RandomRead "rr";
    /// MADV_DONTFORK.
    DontFork "dc";
    /// mremap(2) cannot make it longer.
    DontExpand "de";
    /// Locked on the first touch (MLOCK_ONFAULT, 4.4).
    LockedOnFault "lf";
    /// Counts against the commit limit.
    Accounted "ac";
    /// MAP_NORESERVE.
    NoReserve "nr";
    /// Pages of hugetlbfs.
    HugeTlb "ht";
    /// MAP_SYNC.
    Sync "sf";
    /// Pages of a non-linear mapping (until 4.0).
    NonLinear "nl";
    /// Of the architecture's own use.
    Architecture "ar";
    /// MADV_WIPEONFORK.
    WipeOnFork "wf";
    /// MADV_DONTDUMP.
    DontDump "dd";
    /// May hold guard pages of MADV_GUARD_INSTALL (6.19).
    Guarded "gu";
    /// Soft-dirty.
    SoftDirty "sd";
    /// Frames and pages mixed.
    MixedMap "mm";
    /// MADV_HUGEPAGE.
    HugePages "hg";
    /// MADV_NOHUGEPAGE.
    NoHugePages "nh";
    /// MADV_MERGEABLE: KSM may merge it.
    Mergeable "mg";
    /// userfaultfd hears of missing pages.
    UffdMissing "um";
    /// userfaultfd hears of writes.
    UffdWriteProtect "uw";
    /// userfaultfd hears of minor faults.
    UffdMinor "ui";
    /// Arm's memory tags.
    MemoryTags "mt";
    /// Branch target identification: Arm.
    BranchTargets "bt";
    /// A shadow stack.
    ShadowStack "ss";
    /// Sealed by mseal(2) (6.10).
    Sealed "sl";
    /// Dropped when memory is short: MAP_DROPPABLE (6.11).
    Droppable "dp";
    /// Bounds of Intel's MPX (3.19 to 5.5).
    MpxBounds "mp";
}

/// The set of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmFlags {
    bits: u64,
    /// Pairs that are not in [`VmFlag`].
    pub unknown: u32,
}

const _: () = assert!(VmFlag::ALL.len() <= 64, "a bit for each flag");

impl VmFlags {
    /// Reads what follows `VmFlags:`.
    #[must_use]
    pub fn parse(value: &[u8]) -> VmFlags {
        let mut flags = VmFlags::default();
        for word in super::lines::words(value) {
            match VmFlag::ALL
                .into_iter()
                .find(|flag| flag.code().as_bytes() == word)
            {
                Some(flag) => flags.bits |= 1 << (flag as u32),
                None => flags.unknown = flags.unknown.saturating_add(1),
            }
        }
        flags
    }

    /// Whether the mapping has `flag`.
    #[must_use]
    pub fn has(self, flag: VmFlag) -> bool {
        self.bits >> (flag as u32) & 1 == 1
    }

    /// The flags there are.
    pub fn iter(self) -> impl Iterator<Item = VmFlag> {
        VmFlag::ALL.into_iter().filter(move |flag| self.has(*flag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_flags_and_new_ones_are_counted() {
        let flags = VmFlags::parse(b"rd wr mr mw me gd ac zz ");
        assert!(flags.has(VmFlag::GrowsDown) && flags.has(VmFlag::Write));
        assert!(!flags.has(VmFlag::Execute));
        assert_eq!((flags.iter().count(), flags.unknown), (7, 1));
    }

    #[test]
    fn no_two_flags_have_the_same_letters() {
        for flag in VmFlag::ALL {
            let one = VmFlags::parse(flag.code().as_bytes());
            assert_eq!(one.iter().collect::<Vec<_>>(), [flag]);
        }
    }
}
