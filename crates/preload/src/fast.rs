//! The fast paths of malloc and free, under whatever name.
//!
//! Owns two macros. On x86_64 they make functions in assembly: [`Heap::pop`](neap_heap::Heap::pop) and
//! [`Heap::push`](neap_heap::Heap::push), which say the same in Rust and are what other machines get, with
//! memory operands where LLVM loads atomics one by one, and the thread's block addressed through `fs`.
//! The registers of the arguments are left as they were, so what cannot be done here is done by
//! jumping to the slow function of the same signature.
#![allow(unsafe_code)]

/// Defines functions that take a size (and more that the fast path does not look at) and return a block.
///
/// # Safety
/// 1. `slow` takes the same arguments, returns a block or null, and never looks at the caller's frame.
macro_rules! fast_malloc {
    ($($(#[$doc:meta])* $name:ident($($more:ident: $type:ty),*) else $slow:ident)*) => {$(
        $(#[$doc])*
        #[cfg(target_arch = "x86_64")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub extern "C" fn $name(size: usize $(, $more: $type)*) -> *mut core::ffi::c_void {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "cmp rdi, {direct}",
                "ja 3f",
                "mov r8, qword ptr [rip + __neap_local_0_1@GOTTPOFF]",
                "lea r9, [rdi + 15]",
                "shr r9, 4",
                "2:",
                "mov rax, qword ptr fs:[r8 + r9*8 + {heads}]",
                "test rax, rax",
                "je {slow}",
                "mov r10, qword ptr [rax]",
                "mov qword ptr fs:[r8 + r9*8 + {heads}], r10",
                "inc byte ptr fs:[r8 + r9 + {rooms}]",
                "ret",
                "3:",
                "cmp rdi, {largest}",
                "ja {slow}",
                "lea r9, [rdi - 1]",
                "shr r9, 6",
                "lea r8, [rip + {place_of_size}]",
                "movzx r9d, byte ptr [r8 + r9]",
                "mov r8, qword ptr [rip + __neap_local_0_1@GOTTPOFF]",
                "jmp 2b",
                ".cfi_endproc",
                direct = const neap_heap::fast::DIRECT,
                largest = const neap_heap::fast::LARGEST,
                heads = const neap_heap::fast::HEADS,
                rooms = const neap_heap::fast::ROOMS,
                place_of_size = sym neap_heap::fast::PLACE_OF_SIZE,
                slow = sym $slow,
            )
        }

        $(#[$doc])*
        #[cfg(not(target_arch = "x86_64"))]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(size: usize $(, $more: $type)*) -> *mut core::ffi::c_void {
            match neap_heap::heap().pop(neap_heap::local(), size) {
                Some(address) => core::ptr::with_exposed_provenance_mut(address),
                // SAFETY: the slow half takes the same arguments and returns the same.
                #[allow(unused_unsafe)]
                None => unsafe { $slow(size $(, $more)*) },
            }
        }
    )*};
}
pub(crate) use fast_malloc;

/// Defines functions that take a block, or null (and more that the fast path does not look at), and free it.
/// In parentheses behind the slow half is what that one takes besides the block: the name's first arguments.
///
/// # Safety
/// 1. `slow` frees the block.
macro_rules! fast_free {
    ($($(#[$doc:meta])* $name:ident($($more:ident: $type:ty),*) else $slow:ident($($pass:ident),*))*) => {$(
        $(#[$doc])*
        #[cfg(target_arch = "x86_64")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(block: *mut core::ffi::c_void $(, $more: $type)*) {
            core::arch::naked_asm!(
                ".cfi_startproc",
                // The block's record; a slab of another thread is not for here.
                "mov r8, rdi",
                "sub r8, qword ptr [rip + {heap} + {base}]",
                "cmp r8, qword ptr [rip + {heap} + {limit}]",
                "jae {slow}",
                "shr r8, {shift}",
                "and r8, {mask}",
                "add r8, qword ptr [rip + {heap} + {records}]",
                "mov rax, qword ptr [rip + __neap_local_0_1@GOTTPOFF]",
                "mov r9, qword ptr fs:[rax + {strange}]",
                "test qword ptr [r8 + {owner}], r9",
                "jne {slow}",
                // Into the hand, if there is room.
                "mov r9d, dword ptr [r8 + {place}]",
                "sub byte ptr fs:[rax + r9 + {rooms}], 1",
                "jb 2f",
                "mov r10, qword ptr fs:[rax + r9*8 + {heads}]",
                "cmp r10, rdi",
                "je {slow}",
                "mov qword ptr [rdi], r10",
                "mov qword ptr fs:[rax + r9*8 + {heads}], rdi",
                "ret",
                // Else back into the slab, if it is this thread's.
                "2:",
                "inc byte ptr fs:[rax + r9 + {rooms}]",
                "add rax, qword ptr fs:[0]",
                "cmp qword ptr [r8 + {owner}], rax",
                "jne {slow}",
                "mov r10, qword ptr [r8 + {list}]",
                "cmp r10, rdi",
                "je {slow}",
                "mov qword ptr [rdi], r10",
                "mov qword ptr [r8 + {list}], rdi",
                "sub dword ptr [r8 + {need}], 1",
                "jbe {due}",
                "ret",
                ".cfi_endproc",
                heap = sym neap_heap::fast::HEAP,
                base = const neap_heap::fast::BASE,
                limit = const neap_heap::fast::LIMIT,
                records = const neap_heap::fast::RECORDS,
                shift = const neap_heap::fast::RECORD_SHIFT,
                mask = const neap_heap::fast::RECORD_MASK,
                strange = const neap_heap::fast::STRANGE,
                owner = const neap_heap::fast::OWNER,
                place = const neap_heap::fast::PLACE,
                heads = const neap_heap::fast::HEADS,
                rooms = const neap_heap::fast::ROOMS,
                list = const neap_heap::fast::LIST,
                need = const neap_heap::fast::NEED,
                slow = sym $slow,
                due = sym crate::fast::free_due,
            )
        }

        $(#[$doc])*
        #[cfg(not(target_arch = "x86_64"))]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(block: *mut core::ffi::c_void $(, $more: $type)*) {
            // SAFETY: the caller gives null or a block of ours in use (1).
            if !unsafe { neap_heap::heap().push(neap_heap::local(), block.expose_provenance()) } {
                // SAFETY: nothing has changed yet (1).
                unsafe { $slow(block $(, $pass)*) };
            }
        }
    )*};
}
pub(crate) use fast_free;

/// After the fast path has put `block` back and its slab's countdown has run out.
#[cfg(target_arch = "x86_64")]
#[cold]
pub(crate) unsafe extern "C" fn free_due(block: *mut core::ffi::c_void) {
    // SAFETY: that is what has happened (1).
    unsafe { neap_heap::global::free_due(block.cast()) };
}
