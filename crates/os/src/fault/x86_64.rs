//! The guarded copy on x86_64, and what the handler must know of the machine.
//!
//! The copy keeps rdi, rsi and rcx at what is still to be copied, and advances them only over bytes that
//! have been stored. It stores in ascending order: before each store, what has been written is a prefix of
//! the destination that reaches at least to the store's first byte; an overlapping store at the end writes
//! the prefix's last bytes again. So whatever faults, `rep movsb` from these registers finds the exact byte.
//!
//! Up to a few KiB it uses the widest vectors that cost no clock frequency, then `rep movsb`, which is as
//! fast from there on and keeps its registers exact by itself.
#![allow(unsafe_code)]

use super::site::site;
use crate::unit::Bytes;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

/// Words from the ucontext's start to its first general register: flags, link, the stack's three.
pub(super) const FIRST_REGISTER: usize = 5;
/// The kernel's sigcontext has r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
pub(super) const CAUSE: usize = 12;
/// rip.
pub(super) const PC: usize = 16;
/// Then flags, segments, error, trapno.
pub(super) const TRAP: usize = 20;
/// An address that is none is a general protection fault, or through rsp or rbp a stack fault.
pub(super) const ADDRESS_TRAPS: [usize; 2] = [12, 13];

/// The section's bounds. Adds an entry of no instructions, so that the section exists.
pub(super) fn table() -> (usize, usize) {
    let (start, end): (usize, usize);
    // SAFETY: takes two addresses that the linker defines.
    unsafe {
        asm!(
            ".hidden __start_neap_fixups",
            ".hidden __stop_neap_fixups",
            "lea {start}, [rip + __start_neap_fixups]",
            "lea {end}, [rip + __stop_neap_fixups]",
            "2:",
            site!("2b", "2b", "2b"),
            start = out(reg) start,
            end = out(reg) end,
            options(nomem, nostack, preserves_flags),
        );
    }
    (start, end)
}

/// What [`copy_bytes`] returns, in rax and rdx.
#[repr(C)]
pub(super) struct Outcome {
    /// Bytes not copied.
    pub(super) left: usize,
    /// 0, or the fault: signal number << 32 | si_code.
    pub(super) cause: u64,
}

/// Bytes of the vectors that copies use: 16 until [`measure`] has seen that wider ones work.
static WIDTH: AtomicU8 = AtomicU8::new(16);
/// Bytes from which on a copy that needs more than eight vectors is one `rep movsb`.
static STRING: AtomicUsize = AtomicUsize::new(2048);

/// The widest vectors that this machine copies well with.
pub(super) fn widest() -> u8 {
    let (_, ecx, _) = leaf(1, 0);
    let (ebx, _, highest) = leaf(7, 0);
    if ecx & (1 << 27) == 0 || ebx & (1 << 5) == 0 {
        return 16; // No XGETBV, or no AVX2.
    }
    let enabled: u32;
    // SAFETY: OSXSAVE, just seen, says that the instruction exists.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _,
             options(nomem, nostack, preserves_flags));
    }
    // The kernel saves xmm, ymm; for 512 bits also the masks and both parts of zmm.
    if enabled & 0x06 != 0x06 {
        return 16;
    }
    // Processors with AVX-VNNI (7.1 eax bit 4) do not lower their clock for 512 bits.
    let is_cheap = highest >= 1 && __cpuid_count(7, 1).eax & (1 << 4) != 0;
    let is_there = ebx & (1 << 16) != 0 && enabled & 0xe6 == 0xe6;
    if is_cheap && is_there { 64 } else { 32 }
}

/// ebx, ecx and eax of a leaf of CPUID, 0 where the processor has no such leaf.
fn leaf(number: u32, part: u32) -> (u32, u32, u32) {
    if __cpuid(0).eax < number {
        return (0, 0, 0);
    }
    let answer = __cpuid_count(number, part);
    (answer.ebx, answer.ecx, answer.eax)
}

/// Lets copies use what the processor has. Until then they use what every x86_64 has.
pub(super) fn measure() {
    let width = widest();
    let (ebx, _, _) = leaf(7, 0);
    // ERMS. Where `rep movsb` overtakes the vectors, by measurement.
    let string = match (ebx & (1 << 9) != 0, width) {
        (false, _) => usize::MAX,
        (true, 16) => 2048,
        (true, _) => 4096,
    };
    choose(width, Bytes(string));
}

/// Has copies use vectors of `width` bytes, which the machine must have, and `rep movsb` from `string` on.
pub(super) fn choose(width: u8, string: Bytes) {
    STRING.store(string.0, Relaxed);
    WIDTH.store(width, Relaxed);
}

/// Loads and then stores the first `$n` vectors at rsi and the last `$n` that end at rsi + rcx.
macro_rules! ends {
    ($mov:literal, $size:literal, [$($first:literal $head:literal)*], [$($last:literal $tail:literal)*]) => {
        concat!(
            $($mov, " ", $first, ", [rsi + ", $size, " * ", $head, "]\n",)*
            $($mov, " ", $last, ", [rsi + rcx - ", $size, " * ", $tail, "]\n",)*
            $($mov, " [rdi + ", $size, " * ", $head, "], ", $first, "\n",)*
            $($mov, " [rdi + rcx - ", $size, " * ", $tail, "], ", $last, "\n",)*
        )
    };
}

/// Stores one vector, advances to the next multiple of its size in the destination (rax is scratch), then
/// copies four vectors at a time and the last four, which may overlap. For more than eight vectors.
macro_rules! rows {
    ($mov:literal, $aligned:literal, $size:literal, [$a:literal $b:literal $c:literal $d:literal]) => {
        concat!(
            $mov, " ", $a, ", [rsi]\n",
            $mov, " [rdi], ", $a, "\n",
            "mov rax, rdi\n",
            "and eax, ", $size, " - 1\n",
            "sub rax, ", $size, "\n",
            "sub rsi, rax\n",
            "sub rdi, rax\n",
            "add rcx, rax\n",
            ".p2align 5\n",
            "3:\n",
            $mov, " ", $a, ", [rsi]\n",
            $mov, " ", $b, ", [rsi + ", $size, "]\n",
            $mov, " ", $c, ", [rsi + ", $size, " * 2]\n",
            $mov, " ", $d, ", [rsi + ", $size, " * 3]\n",
            $aligned, " [rdi], ", $a, "\n",
            $aligned, " [rdi + ", $size, "], ", $b, "\n",
            $aligned, " [rdi + ", $size, " * 2], ", $c, "\n",
            $aligned, " [rdi + ", $size, " * 3], ", $d, "\n",
            "add rsi, ", $size, " * 4\n",
            "add rdi, ", $size, " * 4\n",
            "sub rcx, ", $size, " * 4\n",
            "cmp rcx, ", $size, " * 4\n",
            "ja 3b\n",
            ends!($mov, $size, [], [$a 4 $b 3 $c 2 $d 1]),
        )
    };
}

/// Returns "nothing left, no fault".
macro_rules! whole {
    () => {
        "xor eax, eax\nxor edx, edx\nret\n"
    };
}

/// Copies `len` bytes, lowest first.
///
/// # Safety
/// 1. As [`super::copy`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn copy_bytes(to: *mut u8, from: *const u8, len: usize) -> Outcome {
    // rdx and rax are scratch until the end; a fault from 20 to 29 goes on at 30, one in the string
    // instruction at 31. Label 3 belongs to the loops.
    naked_asm!(
        ".p2align 6",
        "20:",
        "mov rcx, rdx",
        "cmp rdx, 16",
        "jb 22f",
        "cmp rdx, 32",
        "ja 21f",
        ends!("movups", 16, ["xmm0" 0], ["xmm1" 1]),
        whole!(),
        ".p2align 4",
        "21:",
        "cmp rdx, 64",
        "ja 25f",
        ends!("movups", 16, ["xmm0" 0 "xmm1" 1], ["xmm2" 2 "xmm3" 1]),
        whole!(),
        "22:",
        "cmp edx, 8",
        "jb 23f",
        "mov rax, [rsi]",
        "mov rdx, [rsi + rcx - 8]",
        "mov [rdi], rax",
        "mov [rdi + rcx - 8], rdx",
        whole!(),
        "23:",
        "cmp edx, 4",
        "jb 24f",
        "mov eax, [rsi]",
        "mov edx, [rsi + rcx - 4]",
        "mov [rdi], eax",
        "mov [rdi + rcx - 4], edx",
        whole!(),
        // One to three bytes: the first, the middle one and the last, any of which may be the same.
        "24:",
        "test edx, edx",
        "jz 28f",
        "shr edx, 1",
        "movzx eax, byte ptr [rsi]",
        "movzx r8d, byte ptr [rsi + rdx]",
        "movzx r9d, byte ptr [rsi + rcx - 1]",
        "mov [rdi], al",
        "mov [rdi + rdx], r8b",
        "mov [rdi + rcx - 1], r9b",
        "28:",
        whole!(),
        ".p2align 5",
        "25:",
        "cmp byte ptr [rip + {width}], 32",
        "ja 27f",
        "je 26f",
        "cmp rdx, 128",
        "ja 5f",
        ends!("movups", 16, ["xmm0" 0 "xmm1" 1 "xmm2" 2 "xmm3" 3], ["xmm4" 4 "xmm5" 3 "xmm6" 2 "xmm7" 1]),
        whole!(),
        "5:",
        "cmp rdx, qword ptr [rip + {string}]",
        "jae 30f",
        rows!("movups", "movaps", 16, ["xmm0" "xmm1" "xmm2" "xmm3"]),
        whole!(),
        ".p2align 6",
        "26:",
        "cmp rdx, 128",
        "ja 6f",
        ends!("vmovdqu", 32, ["ymm0" 0 "ymm1" 1], ["ymm2" 2 "ymm3" 1]),
        "vzeroupper",
        whole!(),
        "6:",
        "cmp rdx, 256",
        "ja 7f",
        ends!("vmovdqu", 32, ["ymm0" 0 "ymm1" 1 "ymm2" 2 "ymm3" 3], ["ymm4" 4 "ymm5" 3 "ymm6" 2 "ymm7" 1]),
        "vzeroupper",
        whole!(),
        "7:",
        "cmp rdx, qword ptr [rip + {string}]",
        "jae 30f",
        rows!("vmovdqu", "vmovdqa", 32, ["ymm0" "ymm1" "ymm2" "ymm3"]),
        "vzeroupper",
        whole!(),
        // From zmm16 on, vectors leave no state behind that vzeroupper would have to clear.
        ".p2align 6",
        "27:",
        "cmp rdx, 128",
        "ja 6f",
        ends!("vmovdqu64", 64, ["zmm16" 0], ["zmm17" 1]),
        whole!(),
        "6:",
        "cmp rdx, 256",
        "ja 7f",
        ends!("vmovdqu64", 64, ["zmm16" 0 "zmm17" 1], ["zmm18" 2 "zmm19" 1]),
        whole!(),
        "7:",
        "cmp rdx, 512",
        "ja 8f",
        ends!("vmovdqu64", 64, ["zmm16" 0 "zmm17" 1 "zmm18" 2 "zmm19" 3],
            ["zmm20" 4 "zmm21" 3 "zmm22" 2 "zmm23" 1]),
        whole!(),
        "8:",
        "cmp rdx, qword ptr [rip + {string}]",
        "jae 30f",
        rows!("vmovdqu64", "vmovdqa64", 64, ["zmm16" "zmm17" "zmm18" "zmm19"]),
        whole!(),
        "29:",
        site!("20b", "29b", "32f", of "{whole}"),
        // Where a fault among the vectors goes on. AVX-512 implies AVX2: only one of them leaves state.
        "32:",
        "cmp byte ptr [rip + {width}], 32",
        "jne 30f",
        "vzeroupper",
        "30:",
        "xor edx, edx",
        "33:",
        "rep movsb",
        "31:",
        "mov rax, rcx",
        "ret",
        site!("33b", "31b", "31b", of "{whole}"),
        string = sym STRING,
        whole = sym copy_bytes,
        width = sym WIDTH,
    )
}
