//! What an ELF file says about who serves its memory: loader, needed libraries, allocator symbols.
//!
//! Reads headers and symbol tables only, never the whole file.

use std::fs::File;
use std::io;

use object::elf;
use object::read::elf::{
    Dyn as _, FileHeader, ProgramHeader as _, SectionHeader as _, SectionTable, Sym as _,
};
use object::{FileKind, ReadCache, ReadRef};

/// Symbol tables larger than this are not read: no allocator hides in the second half GiB.
const TABLE_BYTES_MAX: u64 = 512 << 20;

/// Prefixes of the functions of well-known allocators that do not replace malloc by name.
const PREFIXES: [&str; 7] = ["_rjem_", "je_", "jemalloc_", "mi_", "tc_", "rpmalloc", "sn_"];
/// Functions that give memory to plain `free` or take it from plain `malloc`: they must be of one allocator.
const JEMALLOC_ONLY: [&str; 6] = ["mallocx", "rallocx", "xallocx", "sallocx", "sdallocx", "dallocx"];

/// The facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elf {
    pub(crate) bits: u8,
    pub(crate) machine: u16,
    /// PT_INTERP: the dynamic linker.
    pub(crate) interpreter: Option<String>,
    /// DT_SONAME.
    pub(crate) soname: Option<String>,
    /// DT_NEEDED.
    pub(crate) needed: Vec<String>,
    /// Allocator functions that the file defines.
    pub(crate) defines: Vec<String>,
    /// Allocator functions that it wants from elsewhere.
    pub(crate) imports: Vec<String>,
    /// Made by the Go compiler.
    pub(crate) go: bool,
}

impl Elf {
    /// `Ok(None)`: the file is no ELF file.
    pub(crate) fn read(file: &File) -> io::Result<Option<Elf>> {
        let cache = ReadCache::new(file);
        let broken = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        match FileKind::parse(&cache) {
            Ok(FileKind::Elf32) => facts::<elf::FileHeader32<object::Endianness>, _>(&cache)
                .map(Some)
                .map_err(broken),
            Ok(FileKind::Elf64) => facts::<elf::FileHeader64<object::Endianness>, _>(&cache)
                .map(Some)
                .map_err(broken),
            _ => Ok(None),
        }
    }

    pub(crate) fn defines(&self, name: &str) -> bool {
        self.defines.iter().any(|defined| defined == name)
    }

    /// The dynamic linker itself, run as a command: it has no PT_INTERP and obeys LD_PRELOAD.
    pub(crate) fn is_dynamic_linker(&self) -> bool {
        self.soname
            .as_deref()
            .is_some_and(|name| name.starts_with("ld-linux") || name.starts_with("ld64.so"))
    }

    /// Defined functions of an allocator under a name of its own, such as `mi_malloc`.
    pub(crate) fn prefixed_allocator(&self) -> Option<&str> {
        self.defines
            .iter()
            .map(String::as_str)
            .find(|name| name.ends_with("malloc") && *name != "malloc")
    }

    /// The imported functions that only an allocator's own library has.
    pub(crate) fn foreign_imports(&self) -> impl Iterator<Item = &str> {
        self.imports
            .iter()
            .map(String::as_str)
            .filter(|name| !matches!(*name, "malloc" | "free"))
    }

    pub(crate) fn machine_name(&self) -> String {
        let name = match self.machine {
            elf::EM_X86_64 => "x86-64",
            elf::EM_386 => "x86",
            elf::EM_AARCH64 => "aarch64",
            elf::EM_ARM => "arm",
            elf::EM_RISCV => "riscv",
            elf::EM_PPC64 => "ppc64",
            elf::EM_S390 => "s390",
            other => return format!("machine {other}, {} bits", self.bits),
        };
        format!("{name}, {} bits", self.bits)
    }
}

/// The names of symbol versions that a 64-bit ELF file defines or needs: the words of its dynamic string table
/// that begin with `GLIBC_`.
pub(crate) fn version_names(file: &File) -> io::Result<Vec<String>> {
    type Header = elf::FileHeader64<object::Endianness>;
    let cache = ReadCache::new(file);
    let strings = || -> object::Result<Vec<String>> {
        let data = &cache;
        let header = Header::parse(data)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, data)?;
        let Some((_, link)) = sections.dynamic(endian, data)? else {
            return Ok(Vec::new());
        };
        let words = sections
            .section(link)?
            .data(endian, data)?
            .split(|&byte| byte == 0);
        Ok(words
            .filter(|word| word.starts_with(b"GLIBC_"))
            .map(text)
            .collect())
    };
    strings().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// `mallocx` and its kin.
pub(crate) fn mixes_with_free(name: &str) -> bool {
    JEMALLOC_ONLY.contains(&name)
}

fn of_interest(name: &str) -> bool {
    matches!(name, "malloc" | "free")
        || mixes_with_free(name)
        || (name.ends_with("malloc") && PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

fn facts<'data, H, R>(data: R) -> object::Result<Elf>
where
    H: FileHeader<Endian = object::Endianness>,
    R: ReadRef<'data>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let mut facts = Elf {
        bits: if header.is_type_64() { 64 } else { 32 },
        machine: header.e_machine(endian),
        ..Elf::default()
    };
    for segment in header.program_headers(endian, data)? {
        if let Some(path) = segment.interpreter(endian, data)? {
            facts.interpreter = Some(text(path));
        }
    }
    let sections = header.sections(endian, data)?;
    facts.go = sections.section_by_name(endian, b".go.buildinfo").is_some()
        || sections.section_by_name(endian, b".note.go.buildid").is_some();
    dynamic_names::<H, R>(&sections, endian, data, &mut facts)?;
    for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
        symbols::<H, R>(&sections, endian, data, kind, &mut facts)?;
    }
    for names in [&mut facts.defines, &mut facts.imports] {
        names.sort_unstable();
        names.dedup();
    }
    Ok(facts)
}

fn dynamic_names<'data, H, R>(
    sections: &SectionTable<'data, H, R>,
    endian: object::Endianness,
    data: R,
    facts: &mut Elf,
) -> object::Result<()>
where
    H: FileHeader<Endian = object::Endianness>,
    R: ReadRef<'data>,
{
    let Some((entries, link)) = sections.dynamic(endian, data)? else {
        return Ok(());
    };
    let strings = sections.section(link)?.data(endian, data)?;
    for entry in entries {
        let name = || {
            entry
                .val32(endian)
                .and_then(|offset| string_at(strings, offset))
                .map(text)
        };
        match entry.tag(endian) {
            elf::DT_NEEDED => facts.needed.extend(name()),
            elf::DT_SONAME => facts.soname = name(),
            _ => {}
        }
    }
    Ok(())
}

fn symbols<'data, H, R>(
    sections: &SectionTable<'data, H, R>,
    endian: object::Endianness,
    data: R,
    kind: u32,
    facts: &mut Elf,
) -> object::Result<()>
where
    H: FileHeader<Endian = object::Endianness>,
    R: ReadRef<'data>,
{
    let Some(table) = sections.iter().find(|section| section.sh_type(endian) == kind) else {
        return Ok(());
    };
    let names = sections.section(table.link(endian))?;
    let bytes = |section: &H::SectionHeader| -> u64 { section.sh_size(endian).into() };
    if bytes(table).saturating_add(bytes(names)) > TABLE_BYTES_MAX {
        return Ok(());
    }
    let strings = names.data(endian, data)?;
    for symbol in table.data_as_array::<H::Sym, R>(endian, data)? {
        let Some(name) = string_at(strings, symbol.st_name(endian)) else {
            continue;
        };
        let Ok(name) = core::str::from_utf8(name) else {
            continue;
        };
        if !of_interest(name) {
            continue;
        }
        if symbol.is_undefined(endian) {
            // A weak import is a question (is there a jemalloc?), and libneap.so's answer is no.
            if symbol.st_bind() != elf::STB_WEAK {
                facts.imports.push(name.to_owned());
            }
        } else if matches!(symbol.st_type(), elf::STT_FUNC | elf::STT_GNU_IFUNC) {
            facts.defines.push(name.to_owned());
        }
    }
    Ok(())
}

fn string_at(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    rest.split(|&byte| byte == 0).next()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read_bytes(bytes: &[u8]) -> io::Result<Option<Elf>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Elf::read(&file)
    }

    #[test]
    fn this_very_program_is_dynamic_and_wants_malloc() {
        let facts = Elf::read(&File::open("/proc/self/exe").unwrap())
            .unwrap()
            .unwrap();
        assert!(facts.interpreter.is_some() && !facts.go);
        assert!(facts.needed.iter().any(|name| name.starts_with("libc.so")));
        assert!(facts.imports.iter().any(|name| name == "malloc") && !facts.defines("malloc"));
        assert_eq!(u32::from(facts.bits), usize::BITS);
    }

    #[test]
    fn what_is_no_elf_file_is_none_and_a_broken_one_is_an_error() {
        assert_eq!(read_bytes(b"#!/bin/sh\n").unwrap(), None);
        assert_eq!(read_bytes(b"").unwrap(), None);
        assert!(
            read_bytes(b"\x7fELF\x02\x01\x01 and then nonsense that is long enough for the header").is_err()
        );
    }

    #[test]
    fn a_file_cut_anywhere_never_panics() {
        let whole = std::fs::read("/bin/true").unwrap();
        for length in (0..whole.len()).step_by(997) {
            let _ = read_bytes(&whole[..length]);
        }
    }
}
