//! neap's note in the ELF image of a mapped file: where its anchor lies.
//!
//! Reads the headers and the notes, wherever the image is had from: its file, or the memory it is mapped into.

use neap_abi::anatomy::{VERSION, find_descriptor};
use object::Endianness;
use object::elf::{self, FileHeader64, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// The headers lie at the start.
const HEAD_BYTES: usize = 4096;
/// More than all notes of any file take.
const NOTES_BYTES_MAX: u64 = 64 << 10;

/// What the note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) version: u32,
    /// The anchor's address, less what the loader adds to every address of the file.
    pub(super) anchor: u64,
    /// The address of the file's first byte, less the same.
    pub(super) first: u64,
}

/// A place to read an image from.
pub(super) trait Image {
    /// `bytes` bytes, or fewer where the image ends, from `offset` in the file, which lies at `address` less
    /// [`Note::first`] in memory, counted from the first byte.
    fn piece(&self, offset: u64, address: u64, bytes: usize) -> Option<Vec<u8>>;
}

/// The note, if this is an ELF file for this kind of machine that has it.
pub(super) fn note(image: &impl Image) -> Option<Note> {
    let head = image.piece(0, 0, HEAD_BYTES)?;
    let header = FileHeader64::<Endianness>::parse(head.as_slice()).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != MACHINE {
        return None;
    }
    let segments = header.program_headers(endian, head.as_slice()).ok()?;
    let first = segments.iter().find(|s| s.p_type(endian) == PT_LOAD)?;
    let first = first.p_vaddr(endian).wrapping_sub(first.p_offset(endian));
    segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_NOTE)
        .find_map(|segment| {
            let (offset, address) = (segment.p_offset(endian), segment.p_vaddr(endian));
            let bytes = usize::try_from(segment.p_filesz(endian).min(NOTES_BYTES_MAX)).ok()?;
            let notes = image.piece(offset, address.wrapping_sub(first), bytes)?;
            read(&notes, address, first)
        })
}

fn read(notes: &[u8], address: u64, first: u64) -> Option<Note> {
    let at = find_descriptor(notes)?;
    let word = |at: usize| <[u8; 4]>::try_from(notes.get(at..at + 4)?).ok();
    let version = u32::from_ne_bytes(word(at)?);
    let way = i64::from(i32::from_ne_bytes(word(at + 4)?));
    let from = address.wrapping_add(u64::try_from(at).ok()? + 4);
    Some(Note {
        version,
        anchor: from.wrapping_add_signed(way),
        first,
    })
}

/// Whether this neap can read what the note leads to.
pub(super) fn is_known(note: &Note) -> bool {
    note.version == VERSION
}

const MACHINE: u16 = if cfg!(target_arch = "x86_64") {
    elf::EM_X86_64
} else {
    elf::EM_AARCH64
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Bytes(Vec<u8>);

    impl Image for Bytes {
        fn piece(&self, offset: u64, _: u64, bytes: usize) -> Option<Vec<u8>> {
            let from = usize::try_from(offset).ok()?;
            let rest = self.0.get(from..)?;
            Some(rest.get(..bytes).unwrap_or(rest).to_vec())
        }
    }

    #[test]
    fn this_program_has_no_note() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(note(&Bytes(bytes)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            head in proptest::collection::vec(any::<u8>(), 0..400),
            magic in any::<bool>(),
        ) {
            let mut bytes = head;
            if magic && bytes.len() > 64 {
                bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
                bytes[18..20].copy_from_slice(&MACHINE.to_le_bytes());
                bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
                bytes[54..58].copy_from_slice(&[56, 0, 4, 0]);
            }
            let _ = note(&Bytes(bytes));
        }
    }
}
