//! Protection keys: pkey_alloc, pkey_free, pkey_mprotect (4.9; aarch64 since 6.12) and the thread's rights.
//!
//! A page carries one of 16 keys (8 on aarch64), 0 unless told otherwise. Each thread has its own rights to
//! each key, in a register that it changes without a system call; an access needs the page's protection and
//! the thread's right, or it is SIGSEGV with `SEGV_PKUERR`. Instruction fetches are not checked on `x86_64`.
//! A new thread starts with its maker's rights; a signal handler with the kernel's (key 0 alone), until it
//! returns. The kernel itself obeys the rights of the thread whose call it serves: a forbidden buffer is
//! `EFAULT`.
//!
//! Never writes the register where the processor or the kernel lacks it. On aarch64 keys can be allocated and
//! set on pages, but [`rights`] and [`set_rights`] are `ENOSYS`: this crate does not access `POR_EL0`.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::mapping::Prot;
use crate::syscall::{Call, syscall1, syscall2, syscall4};
use crate::unit::Span;

/// A protection key. None can be made but by [`alloc`], and [`Key::DEFAULT`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Key(u8);

impl Key {
    /// Key 0: what every page starts with, stacks and code included. Never allocated, freed or restricted
    /// here.
    pub const DEFAULT: Key = Key(0);
}

/// What a thread may do with the pages that carry a key. The values are the kernel's (PKEY_DISABLE_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Rights {
    /// What the page's protection allows.
    All = 0,
    /// That, but no stores (PKEY_DISABLE_WRITE).
    NoWrite = 2,
    /// Neither loads nor stores (PKEY_DISABLE_ACCESS).
    None = 1,
}

/// Takes a key that nobody has, and gives the calling thread `rights` to it; other threads have what they had
/// before, which is none unless they had the key already.
///
/// # Errors
/// From pkey_alloc(2).
/// - `ENOSPC`: all keys are taken.
/// - `EINVAL` or, by the manual page, `ENOSPC`: the processor has none, or the kernel has turned them off.
/// - `ENOSYS`: before 4.9, or without the build option.
pub fn alloc(rights: Rights) -> Result<Key, Errno> {
    // SAFETY: (1) pkey_alloc changes the rights to a key that no owner has.
    let key = unsafe { syscall2(Call::PKEY_ALLOC, 0, rights as usize)? };
    u8::try_from(key).map(Key).map_err(|_| Errno::EOVERFLOW)
}

/// Gives a key back. Pages that still carry it would fall to the next owner's rights.
///
/// # Errors
/// `EINVAL`: [`Key::DEFAULT`], or not allocated. `ENOSYS`: as [`alloc`].
///
/// # Safety
/// 1. `key` is the caller's, from [`alloc`].
/// 2. No page carries it, and nothing uses it any more.
pub unsafe fn free(key: Key) -> Result<(), Errno> {
    if key == Key::DEFAULT {
        return Err(Errno::EINVAL);
    }
    // SAFETY: (1) the kernel forgets a key that is on no page (the caller's 1 and 2).
    unsafe { syscall1(Call::PKEY_FREE, key.0.into())? };
    Ok(())
}

/// Changes what may be done with `span`, and the key its pages carry.
///
/// # Errors
/// From pkey_mprotect(2).
/// - `EINVAL`: `key` is not allocated; `span` does not start on a page; no keys on this machine, even for
///   [`Key::DEFAULT`].
/// - `EACCES`: the mapping cannot be used so: a file opened for less.
/// - `ENOMEM`: part of `span` is not mapped (what comes before is then changed), commit charge, map count.
/// - `EPERM`: sealed. `ENOSYS`: as [`alloc`].
///
/// # Safety
/// 1. `span` is the caller's, and `key` is or is [`Key::DEFAULT`].
/// 2. No thread makes an access that `prot`, or its rights to `key`, forbid.
pub unsafe fn protect(span: Span, prot: Prot, key: Key) -> Result<(), Errno> {
    // SAFETY: (1) the pages are the caller's (its 1), and no access that becomes illegal follows (its 2).
    unsafe {
        syscall4(
            Call::PKEY_MPROTECT,
            span.base(),
            span.len(),
            prot.bits(),
            key.0.into(),
        )?
    };
    Ok(())
}

/// The calling thread's rights to `key`.
///
/// # Errors
/// `ENOSYS`: no register of rights here.
pub fn rights(key: Key) -> Result<Rights, Errno> {
    let word = register::read().ok_or(Errno::ENOSYS)?;
    let both = word >> (2 * u32::from(key.0));
    Ok(if both & Rights::None as u32 != 0 {
        Rights::None
    } else if both & Rights::NoWrite as u32 != 0 {
        Rights::NoWrite
    } else {
        Rights::All
    })
}

/// Gives the calling thread other rights to `key`, and answers with those it had. Other threads keep theirs.
///
/// # Errors
/// `ENOSYS`: no register of rights here. `EINVAL`: [`Key::DEFAULT`], whose pages every thread needs.
///
/// # Safety
/// 1. `key` is the caller's, from [`alloc`].
/// 2. This thread makes no access that `rights` forbid while it has them.
pub unsafe fn set_rights(key: Key, rights: Rights) -> Result<Rights, Errno> {
    if key == Key::DEFAULT {
        return Err(Errno::EINVAL);
    }
    let before = self::rights(key)?;
    let shift = 2 * u32::from(key.0);
    let word = register::read().ok_or(Errno::ENOSYS)?;
    // SAFETY: (1) `read` has answered; (2) only the two bits of the caller's key (its 1) change, and the
    // thread makes no access that they forbid (its 2).
    unsafe { register::write(word & !(3 << shift) | (rights as u32) << shift) };
    Ok(before)
}

#[cfg(target_arch = "x86_64")]
mod register {
    //! PKRU: two bits for each key, as [`super::Rights`] has them, lowest key first (Intel SDM 3A, 5.6.2).
    use core::arch::asm;
    use core::arch::x86_64::__cpuid_count;

    /// Whether the kernel has turned keys on (CR4.PKE, shown as OSPKE): without it both instructions are
    /// SIGILL.
    fn is_on() -> bool {
        const OSPKE: u32 = 1 << 4;
        __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).ecx & OSPKE != 0
    }

    pub(super) fn read() -> Option<u32> {
        if !is_on() {
            return None;
        }
        let word: u32;
        // SAFETY: rdpkru with ecx 0 writes eax and edx, and is legal as OSPKE is set (just seen). Not
        // `nomem`: it stays in order with `write`.
        unsafe {
            asm!("rdpkru", in("ecx") 0, out("eax") word, out("edx") _, options(nostack, preserves_flags))
        };
        Some(word)
    }

    /// # Safety
    /// 1. [`read`] has answered in this process.
    /// 2. The thread makes no access that `word` forbids.
    pub(super) unsafe fn write(word: u32) {
        // SAFETY: wrpkru with ecx and edx 0 is legal by (1) and changes nothing but the rights (2). Without
        // `nomem` the compiler moves no access across it.
        unsafe {
            asm!("wrpkru", in("eax") word, in("ecx") 0, in("edx") 0, options(nostack, preserves_flags))
        };
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod register {
    pub(super) const fn read() -> Option<u32> {
        None
    }

    /// # Safety
    /// 1. [`read`] has answered, which it never does here.
    pub(super) const unsafe fn write(_: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::{end_of_child, in_child};
    use crate::fd::Fd;
    use crate::linux::Linux;
    use crate::syscall::{syscall3, syscall6};
    use crate::unit::Bytes;
    use crate::vm::Vm;
    use core::ptr::with_exposed_provenance_mut;
    use std::os::fd::AsRawFd;

    const PAGE: usize = 4096;
    const SIGSEGV: i32 = 11;

    fn read_write() -> Prot {
        Prot::READ | Prot::WRITE
    }

    /// Whether the processor and the kernel have keys, by what /proc/cpuinfo says and not by what is tested.
    fn machine_has_keys() -> bool {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        info.split_whitespace().any(|word| word == "ospke")
    }

    /// Runs `body` in a child with a key and a page that carries it, or says that there are none.
    fn with_key(body: impl FnOnce(Key, Span)) {
        if !machine_has_keys() {
            return crate::child::skip(format_args!("no protection keys (ospke) on this processor"));
        }
        in_child(|| {
            let key = alloc(Rights::All).unwrap();
            let page = Linux.map(Bytes(PAGE)).unwrap();
            // SAFETY: (1) both are this test's; (2) the thread has all rights.
            unsafe { protect(page, read_write(), key) }.unwrap();
            body(key, page);
        });
    }

    fn load(page: Span) -> u8 {
        // SAFETY: the page is mapped and readable; where it is not, the child is meant to die of it.
        unsafe { with_exposed_provenance_mut::<u8>(page.base()).read_volatile() }
    }

    fn store(page: Span, byte: u8) {
        // SAFETY: as in `load`.
        unsafe { with_exposed_provenance_mut::<u8>(page.base()).write_volatile(byte) };
    }

    fn give(key: Key, rights: Rights) -> Rights {
        // SAFETY: (1) the test's key; (2) accesses that are forbidden are made by a child that is to die.
        unsafe { set_rights(key, rights) }.unwrap()
    }

    #[test]
    fn rights_forbid_what_they_say_and_nothing_else() {
        with_key(|key, page| {
            store(page, 1);
            assert_eq!(give(key, Rights::NoWrite), Rights::All);
            assert_eq!(rights(key), Ok(Rights::NoWrite));
            assert_eq!(load(page), 1);
            assert_eq!(end_of_child(|| store(page, 2)), Err(SIGSEGV));
            assert_eq!(give(key, Rights::None), Rights::NoWrite);
            assert_eq!(end_of_child(|| assert_eq!(load(page), 1)), Err(SIGSEGV));
            assert_eq!(give(key, Rights::All), Rights::None);
            store(page, 3);
            assert_eq!(load(page), 3);
            assert_eq!(rights(Key::DEFAULT), Ok(Rights::All));
        });
    }

    #[test]
    fn the_kernel_obeys_the_rights_of_the_thread_it_serves() {
        with_key(|key, page| {
            let (_reader, writer) = std::io::pipe().unwrap();
            let writer = Fd(writer.as_raw_fd()).argument();
            // SAFETY: (1) reads a byte of a page that is mapped.
            let sent = || unsafe { syscall3(Call::WRITE, writer, page.base(), 1) };
            assert_eq!(sent(), Ok(1));
            give(key, Rights::None);
            assert_eq!(sent(), Err(Errno::EFAULT));
            give(key, Rights::NoWrite);
            assert_eq!(sent(), Ok(1));
        });
    }

    #[test]
    fn rights_are_the_threads_own() {
        with_key(|key, page| {
            give(key, Rights::None);
            let seen = std::thread::spawn(move || {
                // Inherited from its maker.
                let inherited = rights(key);
                give(key, Rights::All);
                store(page, 5);
                inherited
            });
            assert_eq!(seen.join().unwrap(), Ok(Rights::None));
            assert_eq!(rights(key), Ok(Rights::None));
            give(key, Rights::All);
            assert_eq!(load(page), 5);
        });
    }

    #[test]
    fn a_page_given_the_default_key_is_open_again_and_the_key_can_go() {
        with_key(|key, page| {
            give(key, Rights::None);
            // SAFETY: (1) the test's page and key; (2) the default key forbids nothing. The key is then on no
            // page.
            unsafe {
                protect(page, read_write(), Key::DEFAULT).unwrap();
                store(page, 6);
                assert_eq!(free(key), Ok(()));
                assert_eq!(free(key), Err(Errno::EINVAL));
                assert_eq!(protect(page, read_write(), key), Err(Errno::EINVAL));
            }
        });
    }

    #[test]
    fn protecting_with_a_key_fails_as_protecting_does() {
        with_key(|key, page| {
            let file = std::fs::File::open("/proc/self/exe").unwrap();
            let (fd, flags) = (Fd(file.as_raw_fd()).argument(), 1);
            // SAFETY: (1) maps a page of the program, shared and readable, where nothing is.
            let shared = unsafe { syscall6(Call::MMAP, 0, PAGE, 1, flags, fd, 0) }.unwrap();
            let shared = Span::new(shared, PAGE).unwrap();
            // SAFETY: (1, 2) refused, or of pages that nothing uses.
            unsafe {
                assert_eq!(protect(shared, read_write(), key), Err(Errno::EACCES));
                Linux.unmap(page).unwrap();
                assert_eq!(protect(page, read_write(), key), Err(Errno::ENOMEM));
            }
        });
    }

    #[test]
    fn keys_run_out() {
        with_key(|_, _| {
            let mut taken = 0;
            let end = loop {
                match alloc(Rights::None) {
                    Ok(key) => assert_eq!(rights(key), Ok(Rights::None)),
                    Err(errno) => break errno,
                }
                taken += 1;
            };
            assert_eq!(end, Errno::ENOSPC);
            assert!((1..16).contains(&taken));
        });
    }

    #[test]
    fn a_machine_without_keys_says_so_everywhere() {
        if machine_has_keys() {
            return crate::child::skip(format_args!("this processor has protection keys"));
        }
        let none = alloc(Rights::All);
        assert!(
            matches!(none, Err(Errno::EINVAL | Errno::ENOSPC | Errno::ENOSYS)),
            "{none:?}"
        );
        assert_eq!(rights(Key::DEFAULT), Err(Errno::ENOSYS));
        // SAFETY: refused before anything changes.
        assert_eq!(unsafe { set_rights(Key(1), Rights::None) }, Err(Errno::ENOSYS));
    }

    #[test]
    fn errors_are_the_kernels() {
        let page = Linux.map(Bytes(PAGE)).unwrap();
        // SAFETY: all of these are refused before anything changes; the page is then unmapped, used by
        // nobody.
        unsafe {
            let unsupported = protect(page, read_write(), Key(15)) == Err(Errno::ENOSYS);
            if unsupported {
                crate::child::skip(format_args!("a kernel without pkey_mprotect"));
            } else {
                assert_eq!(protect(page, read_write(), Key(15)), Err(Errno::EINVAL));
                let odd = Span::new(page.base() + 1, 1).unwrap();
                assert_eq!(protect(odd, read_write(), Key::DEFAULT), Err(Errno::EINVAL));
                assert_eq!(free(Key(15)), Err(Errno::EINVAL));
                assert_eq!(syscall2(Call::PKEY_ALLOC, 1, 0), Err(Errno::EINVAL));
                assert_eq!(syscall2(Call::PKEY_ALLOC, 0, 1 << 20), Err(Errno::EINVAL));
            }
            assert_eq!(free(Key::DEFAULT), Err(Errno::EINVAL));
            assert_eq!(set_rights(Key::DEFAULT, Rights::None), Err(Errno::EINVAL));
            Linux.unmap(page).unwrap();
        }
    }
}
