//! The shipped libneap.so: what it exports and imports, its thread-local block, its dynamic section.

use super::blessed::{self, Lists, Must};
use crate::Outcome;
use crate::artifacts;
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn as _, ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSymbol as _};
use std::collections::BTreeSet;

const EXPORTS: &str = "xtask/symbols/exports.txt";
const IMPORTS: &str = "xtask/symbols/imports.txt";
/// dlopen finds room for an initial-exec block only in the static TLS surplus, and other libraries
/// want theirs too: 1664 bytes worked on glibc 2.36 and 2048 did not.
const STATIC_TLS_BYTES: u64 = 640;

/// Builds the library and looks at the file.
pub(crate) fn check(lists: Lists) -> Outcome<Vec<String>> {
    let library = artifacts::build()?.library;
    let bytes = std::fs::read(&library).map_err(|e| format!("{}: {e}", library.display()))?;
    let facts = Facts::read(&bytes).map_err(|e| format!("{}: {e}", library.display()))?;
    let mut findings = blessed::check(EXPORTS, &facts.exports, Must::Equal, lists)?;
    findings.extend(blessed::check(IMPORTS, &facts.imports, Must::BeListed, lists)?);
    findings.extend(facts.findings());
    Ok(findings)
}

/// What is looked at.
struct Facts {
    exports: BTreeSet<String>,
    imports: BTreeSet<String>,
    tls_bytes: u64,
    soname: Option<String>,
    needed: Vec<String>,
    text_relocations: bool,
    /// The heap installs no handler, so guarded accesses (neap_os::fault) would not be guarded.
    guarded_accesses: bool,
}

impl Facts {
    fn read(bytes: &[u8]) -> object::Result<Facts> {
        let file = ElfFile64::<Endianness>::parse(bytes)?;
        let (exports, imports) = symbols(&file);
        let endian = file.endian();
        let header: &FileHeader64<Endianness> = file.elf_header();
        let segments = header.program_headers(endian, bytes)?;
        let tls = segments
            .iter()
            .filter(|s| s.p_type(endian) == elf::PT_TLS)
            .map(|s| s.p_memsz(endian));
        let mut facts = Facts {
            exports,
            imports,
            tls_bytes: tls.sum(),
            soname: None,
            needed: Vec::new(),
            text_relocations: false,
            guarded_accesses: file.section_by_name("neap_fixups").is_some(),
        };
        let sections = header.sections(endian, bytes)?;
        let Some((entries, link)) = sections.dynamic(endian, bytes)? else {
            return Ok(facts);
        };
        let strings = sections.strings(endian, bytes, link)?;
        for entry in entries {
            let text = || {
                entry
                    .string(endian, strings)
                    .map(|s| String::from_utf8_lossy(s).into_owned())
            };
            match entry.tag32(endian) {
                Some(elf::DT_SONAME) => facts.soname = Some(text()?),
                Some(elf::DT_NEEDED) => facts.needed.push(text()?),
                Some(elf::DT_TEXTREL) => facts.text_relocations = true,
                Some(elf::DT_FLAGS) => {
                    facts.text_relocations |= entry.d_val(endian) & u64::from(elf::DF_TEXTREL) != 0;
                }
                _ => {}
            }
        }
        Ok(facts)
    }

    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.tls_bytes > STATIC_TLS_BYTES {
            let bytes = self.tls_bytes;
            findings.push(format!(
                "libneap.so: {bytes} bytes of static TLS, {STATIC_TLS_BYTES} are allowed"
            ));
        }
        if self.soname.as_deref() != Some("libneap.so") {
            findings.push(format!("libneap.so: its SONAME is {:?}", self.soname));
        }
        if self.text_relocations {
            findings.push("libneap.so: has text relocations".to_owned());
        }
        if self.guarded_accesses {
            findings.push("libneap.so: has guarded accesses, section neap_fixups".to_owned());
        }
        let known = |n: &String| n.starts_with("libc.so.") || n.starts_with("ld-linux");
        for needed in self.needed.iter().filter(|n| !known(n)) {
            findings.push(format!("libneap.so: needs {needed}"));
        }
        findings
    }
}

/// Names defined and wanted, without versions.
fn symbols(file: &ElfFile64<'_, Endianness>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut exports, mut imports) = (BTreeSet::new(), BTreeSet::new());
    for symbol in file.dynamic_symbols() {
        let Ok(name) = symbol.name() else { continue };
        let name = name.split('@').next().unwrap_or(name).to_owned();
        if name.is_empty() {
            continue;
        }
        if symbol.is_undefined() {
            imports.insert(name);
        } else if symbol.is_global() || symbol.is_weak() {
            exports.insert(name);
        }
    }
    (exports, imports)
}
